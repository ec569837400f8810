/** Picking radiographs, and what became of those just picked. */

import { useRouter } from "expo-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ActivityIndicator, Pressable, StyleSheet, Text, View } from "react-native";

import { Body, Button, Choice, Section } from "@/components/controls";
import { Screen } from "@/components/Screen";
import { useDetector } from "@/detecting/DetectorContext";
import { operatingPoint } from "@/detecting/modelcard";
import { useFormat } from "@/i18n/format";
import { loadPhotograph } from "@/picking/photograph";
import { pickFiles, pickFromGallery, takePhotograph } from "@/picking/pick";
import { useTheme } from "@/theme/theme";

import { type Outcome, type PickedFile, useWorkbench } from "./Workbench";

export function HomeScreen() {
  const { t } = useTranslation();
  const format = useFormat();
  const router = useRouter();
  const { detector, error, retry } = useDetector();
  const { outcomes, progress, point, choosePoint, judge, stop, clear, setPhotograph } = useWorkbench();
  const [denied, setDenied] = useState(false);

  const judgePicked = async (picking: Promise<PickedFile[]>) => {
    const files = await picking;
    if (!files.length) return;
    const record = await judge(files);
    if (record) router.push({ pathname: "/result/[id]", params: { id: record.id } });
  };
  const photograph = async () => {
    const taken = await takePhotograph();
    setDenied(taken === "denied");
    if (!taken || taken === "denied") return;
    setPhotograph({ name: new Date().toISOString().slice(0, 19).replace("T", " "), ...(await loadPhotograph(taken.uri)) });
    router.push("/straighten");
  };

  if (error) {
    return (
      <Screen>
        <Body>{t("app.modelFailed", { reason: error })}</Body>
        <Button label={t("app.retry")} kind="main" onPress={retry} />
      </Screen>
    );
  }
  const busy = !detector || progress !== null;
  const chosen = detector ? operatingPoint(detector.card, point) : null;
  return (
    <Screen>
      <Body quiet>{t("app.tagline")}</Body>
      <Section>
        <Button
          label={t("pick.files")}
          hint={t("pick.filesHint")}
          kind="main"
          disabled={busy}
          onPress={() => void judgePicked(pickFiles())}
        />
        <Button label={t("pick.gallery")} disabled={busy} onPress={() => void judgePicked(pickFromGallery())} />
        <Button label={t("pick.camera")} disabled={busy} onPress={() => void photograph()} />
        {denied ? <Body>{t("pick.cameraDenied")}</Body> : null}
        {detector ? null : (
          <View style={styles.row}>
            <ActivityIndicator />
            <Body quiet>{t("app.loading")}</Body>
          </View>
        )}
        {progress ? (
          <View aria-live="polite" style={styles.progress}>
            <Body quiet>{t("pick.reading", { ...progress })}</Body>
            {progress.total > 1 ? <Button label={t("pick.cancel")} onPress={stop} /> : null}
          </View>
        ) : null}
      </Section>
      {detector && chosen ? (
        <Section title={t("pick.operatingPoint")}>
          <Choice
            label={t("pick.operatingPoint")}
            options={detector.card.operatingPoints.map(({ name }) => ({
              value: name,
              label: t(`points.${name}`, { defaultValue: name }),
            }))}
            value={chosen.name}
            onChange={choosePoint}
          />
          <Body quiet>
            {t("pick.pointDetail", {
              threshold: format.decimal(chosen.threshold, 3),
              sensitivity: format.percent(chosen.sensitivity),
              specificity: format.percent(chosen.specificity),
            })}
          </Body>
        </Section>
      ) : null}
      <Outcomes outcomes={outcomes} clear={clear} />
      <View style={styles.row}>
        <Button label={t("nav.history")} style={styles.grow} onPress={() => router.push("/history")} />
        <Button label={t("nav.about")} style={styles.grow} onPress={() => router.push("/about")} />
      </View>
    </Screen>
  );
}

/** What became of the files picked last; a single file that was judged has its own screen. */
function Outcomes({ outcomes, clear }: { outcomes: readonly Outcome[]; clear: () => void }) {
  const { t } = useTranslation();
  const theme = useTheme();
  const router = useRouter();
  const format = useFormat();
  const refused = outcomes.filter((outcome) => outcome.kind === "refused");
  const judged = outcomes.filter((outcome) => outcome.kind === "judged");
  if (!refused.length && judged.length < 2) return null;
  return (
    <>
      {refused.length ? (
        <Section title={t("pick.refusedTitle", { number: refused.length })}>
          <View role="alert" style={styles.list} testID="refused">
            {refused.map(({ name, code }, i) => (
              <Body key={i}>{t("pick.refused", { name, reason: t(`refusals.${code}`) })}</Body>
            ))}
          </View>
        </Section>
      ) : null}
      {judged.length ? (
        <Section title={t("pick.judged", { number: judged.length })}>
          {judged.map(({ record }) => (
            <Pressable
              key={record.id}
              accessibilityRole="link"
              onPress={() => router.push({ pathname: "/result/[id]", params: { id: record.id } })}
              style={styles.item}
            >
              <Text style={[styles.name, { color: theme.accent }]}>{record.name}</Text>
              <Body quiet>
                {t(`decisions.${record.prediction.decision}`)}
                {record.prediction.decision === "abstained" ? "" : ` · ${format.percent(record.prediction.probability)}`}
              </Body>
            </Pressable>
          ))}
        </Section>
      ) : null}
      <Button label={t("pick.clear")} onPress={clear} />
    </>
  );
}

const styles = StyleSheet.create({
  row: { flexDirection: "row", gap: 8, alignItems: "center" },
  grow: { flexGrow: 1 },
  progress: { gap: 8 },
  list: { gap: 6 },
  item: { minHeight: 44, justifyContent: "center" },
  name: { fontSize: 15, fontWeight: "600" },
});
