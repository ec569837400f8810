/** Adding pictures, with the results of those just added. */

import { operatingPoint } from "@nanoray/web/detecting/modelcard";
import { useFocusEffect, useRouter } from "expo-router";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { ActivityIndicator, StyleSheet, View } from "react-native";

import { Body, Button, Choice, Details, Section, Tile } from "@/components/controls";
import { ResultRow } from "@/components/ResultRow";
import { Screen } from "@/components/Screen";
import { useEngine } from "@/detecting/EngineContext";
import { type Entry, entryOf, thumbnailOf } from "@/history/record";
import { getSetting } from "@/history/settings";
import { history } from "@/history/store";
import { useFormat } from "@/i18n/format";
import { useArrivals } from "@/picking/arrivals";
import { pickFiles, pickFromGallery, takePhotograph } from "@/picking/pick";

import { WelcomeScreen } from "./WelcomeScreen";
import { type Outcome, type PickedFile, useWorkbench } from "./Workbench";

const RECENT = 3;

export function HomeScreen() {
  const [welcomed, setWelcomed] = useState(() => getSetting("welcomed") !== null);
  return welcomed ? <Home /> : <WelcomeScreen onEnd={() => setWelcomed(true)} />;
}

function Home() {
  const { t } = useTranslation();
  const format = useFormat();
  const router = useRouter();
  const { engine, error, retry } = useEngine();
  const { outcomes, progress, point, choosePoint, guarantee, chooseGuarantee, judge, stop, clear } = useWorkbench();
  const [notice, setNotice] = useState<string | null>(null);
  const [recent, setRecent] = useState<readonly Entry[]>([]);

  useFocusEffect(
    useCallback(() => {
      let current = true;
      const refresh = () => {
        history
          .search("", 0, RECENT)
          // No new render if the list was empty and stays empty.
          .then(({ entries }) => current && setRecent((before) => (before.length || entries.length ? entries : before)))
          .catch(() => undefined);
      };
      refresh();
      // The history deletes only after the way back to this screen.
      const end = history.subscribe(refresh);
      return () => {
        current = false;
        end();
      };
    }, []),
  );

  const judgeAll = async (files: readonly PickedFile[]) => {
    if (!files.length) return;
    setNotice(null);
    const single = await judge(files);
    if (single === "photograph") router.push("/straighten");
    else if (single) router.push({ pathname: "/result/[id]", params: { id: single.id } });
  };
  /** A failed picker is reported; a closed one is not. */
  const add = async (pick: () => Promise<readonly PickedFile[]>) => {
    let files: readonly PickedFile[];
    try {
      files = await pick();
    } catch {
      setNotice(t("pick.failed"));
      return;
    }
    await judgeAll(files);
  };
  const photograph = () =>
    add(async () => {
      const taken = await takePhotograph();
      setNotice(taken === "denied" ? t("pick.cameraDenied") : null);
      return taken && taken !== "denied" ? [taken] : [];
    });
  const busy = !engine || progress !== null;
  useArrivals((files) => {
    if (!busy) void judgeAll(files);
  });

  if (error) {
    return (
      <Screen title={t("app.title")} first>
        <Section>
          <Body>{t("app.modelFailed", { reason: error })}</Body>
          <Button label={t("app.retry")} kind="main" onPress={retry} />
        </Section>
      </Screen>
    );
  }
  const chosen = engine ? operatingPoint(engine.card, point) : null;
  return (
    <Screen title={t("app.title")} first>
      <Section title={t("pick.title")}>
        <View style={styles.tiles}>
          <Tile icon="camera" label={t("pick.camera")} disabled={busy} onPress={() => void photograph()} />
          <Tile icon="gallery" label={t("pick.gallery")} disabled={busy} onPress={() => void add(pickFromGallery)} />
          <Tile icon="files" label={t("pick.files")} disabled={busy} onPress={() => void add(pickFiles)} />
        </View>
        <Body quiet>{t("pick.formats")}</Body>
        {notice ? (
          <View role="alert">
            <Body>{notice}</Body>
          </View>
        ) : null}
        {engine ? null : (
          <View style={styles.row}>
            <ActivityIndicator />
            <Body quiet>{t("app.loading")}</Body>
          </View>
        )}
        {progress ? (
          <View aria-live="polite" style={styles.row} testID="progress">
            <ActivityIndicator />
            <View style={styles.grow}>
              <Body quiet>{t(`pick.${progress.stage}`, { ...progress })}</Body>
            </View>
            <Button label={t("pick.cancel")} icon="close" onPress={stop} />
          </View>
        ) : null}
      </Section>
      <Outcomes outcomes={outcomes} clear={clear} />
      <Section title={t("pick.recent")}>
        {recent.length ? (
          recent.map((entry) => <ResultRow key={entry.id} entry={entry} />)
        ) : (
          <Body quiet>{t("pick.noneYet")}</Body>
        )}
        <View style={styles.row}>
          <Button label={t("nav.history")} icon="history" style={styles.grow} onPress={() => router.push("/history")} />
          <Button label={t("nav.about")} icon="about" style={styles.grow} onPress={() => router.push("/about")} />
        </View>
      </Section>
      {engine && chosen ? (
        <Details title={t("pick.pointTitle", { name: t(`points.${chosen.name}`, { defaultValue: chosen.name }) })}>
          <Choice
            label={t("pick.operatingPoint")}
            options={engine.card.operatingPoints.map(({ name }) => ({
              value: name,
              label: t(`points.${name}`, { defaultValue: name }),
            }))}
            value={chosen.name}
            onChange={choosePoint}
          />
          {engine.card.guarantees.length ? (
            <>
              <Choice
                label={t("pick.guarantee")}
                options={[null, ...engine.card.guarantees.map(({ level }) => level)].map((level) => ({
                  value: String(level),
                  label: level === null ? t("pick.guaranteeOff") : t("pick.guaranteeLevel", { level: format.percent(level) }),
                }))}
                value={String(guarantee)}
                onChange={(level) => chooseGuarantee(level === "null" ? null : Number(level))}
              />
              <Body quiet>{t("pick.guaranteeDetail")}</Body>
            </>
          ) : null}
          <Body quiet>
            {t("pick.pointDetail", {
              threshold: format.percent(chosen.threshold),
              sensitivity: format.percent(chosen.sensitivity),
              specificity: format.percent(chosen.specificity),
            })}
          </Body>
        </Details>
      ) : null}
    </Screen>
  );
}

/** Results of the files added last, the highest probability first; a single file has its own screen. */
function Outcomes({ outcomes, clear }: { outcomes: readonly Outcome[]; clear: () => void }) {
  const { t } = useTranslation();
  const refused = outcomes.filter((outcome) => outcome.kind === "refused");
  const judged = outcomes.filter((outcome) => outcome.kind === "judged");
  if (!refused.length && judged.length < 2) return null;
  const rank = ({ record: { prediction } }: (typeof judged)[number]) =>
    prediction.decision === "abstained" ? -1 : prediction.probability;
  const ranked = [...judged].sort((a, b) => rank(b) - rank(a));
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
      {ranked.length ? (
        <Section title={t("pick.judged", { number: ranked.length })}>
          {ranked.map(({ record }) => (
            <ResultRow key={record.id} entry={entryOf(record)} picture={thumbnailOf(record)} />
          ))}
        </Section>
      ) : null}
      <Button label={t("pick.clear")} icon="close" onPress={clear} />
    </>
  );
}

const styles = StyleSheet.create({
  tiles: { flexDirection: "row", flexWrap: "wrap", gap: 10 },
  row: { flexDirection: "row", flexWrap: "wrap", gap: 8, alignItems: "center" },
  grow: { flexGrow: 1, flexShrink: 1 },
  list: { gap: 6 },
});
