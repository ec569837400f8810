/** A probability on a line from 0 to 100 %, with the threshold and the uncertain zone around it. */

import { useTranslation } from "react-i18next";
import { StyleSheet, Text, View } from "react-native";

import { useFormat } from "@/i18n/format";
import { sized, useTheme } from "@/theme/theme";

interface ProbabilityBarProps {
  readonly probability: number;
  readonly threshold: number;
  /** Lowest and highest threshold of the model's operating points: between them, points disagree. */
  readonly uncertain: readonly [number, number];
  readonly colour: string;
}

export function ProbabilityBar({ probability, threshold, uncertain, colour }: ProbabilityBarProps) {
  const { t } = useTranslation();
  const theme = useTheme();
  const format = useFormat();
  const [low, high] = uncertain;
  const at = (share: number) => `${100 * Math.min(1, Math.max(0, share))}%` as const;
  return (
    <View
      accessible
      accessibilityRole="image"
      accessibilityLabel={t("result.bar", {
        probability: format.percent(probability),
        threshold: format.percent(threshold),
        low: format.percent(low),
        high: format.percent(high),
      })}
      style={styles.whole}
    >
      <View style={[styles.track, { backgroundColor: theme.line }]}>
        <View style={[styles.zone, { left: at(low), width: at(high - low), backgroundColor: theme.quiet }]} />
        <View style={[styles.threshold, { left: at(threshold), backgroundColor: theme.text }]} />
      </View>
      <View style={[styles.marker, { left: at(probability), backgroundColor: colour, borderColor: theme.raised }]} />
      <View style={styles.ends}>
        <Text style={{ color: theme.quiet, fontSize: sized(12) }}>{format.percent(0)}</Text>
        <Text style={{ color: theme.quiet, fontSize: sized(12) }}>{format.percent(1)}</Text>
      </View>
      <View style={styles.key}>
        <View style={[styles.keyLine, { backgroundColor: theme.text }]} />
        <Text style={{ color: theme.quiet, fontSize: sized(12) }}>
          {t("result.threshold", { value: format.percent(threshold) })}
        </Text>
        <View style={[styles.keyZone, { backgroundColor: theme.quiet }]} />
        <Text style={{ color: theme.quiet, fontSize: sized(12) }}>{t("result.uncertain")}</Text>
      </View>
    </View>
  );
}

const MARKER = 20;

const styles = StyleSheet.create({
  // A scale of numbers runs from left to right in every language.
  whole: { direction: "ltr", gap: 6, paddingHorizontal: MARKER / 2 },
  track: { height: 12, borderRadius: 6, overflow: "hidden", marginTop: 4 },
  zone: { position: "absolute", top: 0, bottom: 0, opacity: 0.45 },
  threshold: { position: "absolute", top: 0, bottom: 0, width: 3, marginLeft: -1.5 },
  marker: {
    position: "absolute",
    top: 0,
    width: MARKER,
    height: MARKER,
    borderRadius: MARKER / 2,
    borderWidth: 3,
    transform: [{ translateX: 0 }],
  },
  ends: { flexDirection: "row", justifyContent: "space-between" },
  key: { flexDirection: "row", flexWrap: "wrap", gap: 6, alignItems: "center" },
  keyLine: { width: 3, height: 14 },
  keyZone: { width: 18, height: 10, borderRadius: 3, opacity: 0.45, marginLeft: 10 },
});
