/** A result: probability, decision, heat map, flags and provenance. */

import { useTranslation } from "react-i18next";
import { StyleSheet, Text, View } from "react-native";

import { Body, Section } from "@/components/controls";
import { Viewer } from "@/components/Viewer";
import type { HistoryRecord } from "@/history/record";
import { useFormat } from "@/i18n/format";
import { useTheme } from "@/theme/theme";

export function ResultView({ record }: { record: HistoryRecord }) {
  const { t } = useTranslation();
  const theme = useTheme();
  const format = useFormat();
  const { prediction } = record;
  const { facts } = prediction;
  const abstained = prediction.decision === "abstained";
  const colour = { abstained: theme.text, "opacity suspected": theme.suspected, "no opacity suspected": theme.clear };
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
    <>
      <Section>
        <View
          accessible
          aria-live="polite"
          accessibilityLabel={[
            t(`decisions.${prediction.decision}`),
            `${t("result.probability")}: ${abstained ? t("result.abstainedValue") : format.percent(prediction.probability)}`,
          ].join(". ")}
          testID="decision"
        >
          <Text style={[styles.decision, { color: colour[prediction.decision] }]}>
            {t(`decisions.${prediction.decision}`)}
          </Text>
          {abstained ? null : (
            <Text style={[styles.probability, { color: theme.text }]} testID="probability">
              {format.percent(prediction.probability)}
            </Text>
          )}
        </View>
        {abstained ? <Body>{t("result.abstainedReason")}</Body> : <Body quiet>{t("result.target", { target: prediction.target })}</Body>}
        <Body quiet>{t("result.point", { name: point, threshold: format.decimal(prediction.threshold, 3) })}</Body>
      </Section>
      <Section title={t("result.view")}>
        <Viewer picture={prediction.picture} heatmap={prediction.heatmap} />
      </Section>
      <Section title={t("result.flags")}>
        <Body>{prediction.flags.map((flag) => t(`flags.${flag}`)).join(", ") || t("result.noFlags")}</Body>
      </Section>
      <Section title={t("result.facts")}>
        <Body>{record.name}</Body>
        <Body quiet>{described.join(" · ")}</Body>
        <Body quiet>{format.date(record.date)}</Body>
        <Body quiet>{t("result.model", { name: prediction.model, version: prediction.modelVersion })}</Body>
        <Body quiet>
          {t("result.logit")} {format.decimal(prediction.logit, 3)} ·{" "}
          {t("result.novelty", {
            value: format.decimal(prediction.novelty, 2),
            limit: format.decimal(prediction.noveltyLimit, 2),
          })}
        </Body>
        <Body quiet>{t("result.time", { milliseconds: format.decimal(prediction.inferMilliseconds, 0) })}</Body>
      </Section>
    </>
  );
}

const styles = StyleSheet.create({
  decision: { fontSize: 22, fontWeight: "700" },
  probability: { fontSize: 40, fontWeight: "800" },
});
