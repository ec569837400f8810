/** A result: the verdict in plain words, the picture beside or beneath it, and the details on demand. */

import type { Prediction } from "@nanoray/web/detecting/detector";
import type { GreyPicture } from "@nanoray/web/reading/resize";
import { useTranslation } from "react-i18next";
import { StyleSheet, Text, View } from "react-native";

import { Body, Details } from "@/components/controls";
import { Icon } from "@/components/Icon";
import { ProbabilityBar } from "@/components/ProbabilityBar";
import { Viewer } from "@/components/Viewer";
import type { HistoryRecord } from "@/history/record";
import { useFormat } from "@/i18n/format";
import { sized, type Theme, useTheme, useWide } from "@/theme/theme";

interface ResultViewProps {
  readonly record: HistoryRecord;
  /** Thresholds of the model's operating points, from the lowest to the highest. */
  readonly thresholds: readonly number[];
  /** The radiograph at full size, while the app still has it. */
  readonly detail?: GreyPicture | undefined;
}

export function ResultView({ record, thresholds, detail }: ResultViewProps) {
  const wide = useWide();
  const { prediction } = record;
  const viewer = (
    <Viewer
      picture={detail ?? prediction.picture}
      heatmap={prediction.heatmap}
      threshold={prediction.threshold}
      abstained={prediction.decision === "abstained"}
    />
  );
  const words = (
    <>
      <Verdict prediction={prediction} thresholds={thresholds} />
      {wide ? null : viewer}
      <ResultDetails record={record} />
    </>
  );
  if (!wide) return words;
  return (
    <View style={styles.columns}>
      <View style={styles.picture}>{viewer}</View>
      <View style={styles.words}>{words}</View>
    </View>
  );
}

function coloursOf(decision: Prediction["decision"], theme: Theme) {
  if (decision === "abstained" || decision === "unsure") return { text: theme.text, ground: theme.raised };
  return decision === "opacity suspected"
    ? { text: theme.suspected, ground: theme.suspectedTint }
    : { text: theme.clear, ground: theme.clearTint };
}

function Verdict({ prediction, thresholds }: { prediction: Prediction; thresholds: readonly number[] }) {
  const { t } = useTranslation();
  const theme = useTheme();
  const format = useFormat();
  const { decision, probability, threshold } = prediction;
  const abstained = decision === "abstained";
  const { text, ground } = coloursOf(decision, theme);
  const uncertain = [Math.min(threshold, ...thresholds), Math.max(threshold, ...thresholds)] as const;
  return (
    <View style={[styles.verdict, { backgroundColor: ground, borderColor: theme.line }]}>
      <View
        accessible
        aria-live="polite"
        accessibilityLabel={[
          t(`decisions.${decision}`),
          `${t("result.probability")}: ${abstained ? t("result.abstainedValue") : format.percent(probability)}`,
        ].join(". ")}
        testID="decision"
        style={styles.headline}
      >
        <Text style={[styles.decision, { color: text, fontSize: sized(26) }]}>{t(`decisions.${decision}`)}</Text>
        {abstained ? null : (
          <Text style={[styles.probability, { color: text, fontSize: sized(34) }]} testID="probability">
            {format.percent(probability)}
          </Text>
        )}
      </View>
      {abstained ? (
        <Body>{t(`reasons.${prediction.reason ?? "unlike"}`)}</Body>
      ) : (
        <ProbabilityBar probability={probability} threshold={threshold} uncertain={uncertain} colour={text} />
      )}
      {decision === "unsure" ? (
        <Body>{t("result.unsureReason", { level: format.percent(prediction.guarantee ?? 0) })}</Body>
      ) : null}
      {abstained ? null : (
        <Body quiet>{t(`views.${prediction.view ?? "unknown"}`, { threshold: format.percent(threshold) })}</Body>
      )}
      {prediction.flags.map((flag) => (
        <View key={flag} style={styles.flag} testID="flag">
          <Icon name="warning" colour={theme.onNotice} size={20} />
          <Text style={{ color: theme.text, fontSize: sized(15), flexShrink: 1 }}>{t(`flags.${flag}`)}</Text>
        </View>
      ))}
      {prediction.flags.includes("photograph") && !abstained ? <Body quiet>{t("result.photographNote")}</Body> : null}
    </View>
  );
}

function ResultDetails({ record }: { record: HistoryRecord }) {
  const { t } = useTranslation();
  const format = useFormat();
  const { prediction } = record;
  const { facts } = prediction;
  const point = t(`points.${prediction.operatingPoint}`, { defaultValue: prediction.operatingPoint });
  const described = [
    facts.format,
    `${facts.columns} × ${facts.rows}`,
    facts.photometric,
    facts.modality,
    facts.view,
    facts.bodyPart,
  ].filter(Boolean);
  return (
    <Details title={t("result.details")}>
      <Body>{record.name}</Body>
      <Body quiet>{described.join(" · ")}</Body>
      <Body quiet>{format.date(record.date)}</Body>
      <Body quiet>{t("result.target", { target: prediction.target })}</Body>
      <Body quiet>{t("result.point", { name: point, threshold: format.decimal(prediction.threshold, 3) })}</Body>
      <Body quiet>{t("result.model", { name: prediction.model, version: prediction.modelVersion })}</Body>
      <Body quiet>
        {t("result.logit")} {format.decimal(prediction.logit, 3)} ·{" "}
        {t("result.novelty", {
          value: format.decimal(prediction.novelty, 2),
          limit: format.decimal(prediction.noveltyLimit, 2),
        })}
      </Body>
      <Body quiet>{t("result.time", { milliseconds: format.decimal(prediction.inferMilliseconds, 0) })}</Body>
    </Details>
  );
}

const styles = StyleSheet.create({
  columns: { flexDirection: "row", gap: 16, alignItems: "flex-start" },
  picture: { flex: 3, minWidth: 0 },
  words: { flex: 2, minWidth: 280, gap: 12 },
  verdict: { borderRadius: 16, borderWidth: 1, padding: 16, gap: 12 },
  headline: { flexDirection: "row", flexWrap: "wrap", alignItems: "baseline", justifyContent: "space-between", columnGap: 12 },
  decision: { fontWeight: "800", flexShrink: 1 },
  probability: { fontWeight: "800" },
  flag: { flexDirection: "row", gap: 8, alignItems: "center" },
});
