/** A kept result in a list: thumbnail, name, decision, date. */

import { windowed } from "@nanoray/web/detecting/heatmap";
import type { GreyPicture } from "@nanoray/web/reading/resize";
import { useRouter } from "expo-router";
import { memo, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Pressable, StyleSheet, Text, View } from "react-native";

import { Icon } from "@/components/Icon";
import { Picture } from "@/components/Picture";
import type { Entry } from "@/history/record";
import { history } from "@/history/store";
import { direction } from "@/i18n";
import { useFormat } from "@/i18n/format";
import { sized, useTheme } from "@/theme/theme";

const SIDE = 64;

interface ResultRowProps {
  readonly entry: Entry;
  /** The picture where it is at hand; else it is fetched. */
  readonly picture?: GreyPicture;
  readonly onDelete?: (id: string) => void;
}

export const ResultRow = memo(function ResultRow({ entry, picture, onDelete }: ResultRowProps) {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const format = useFormat();
  const router = useRouter();
  const { decision, probability } = entry;
  const abstained = decision === "abstained";
  const shown = {
    name: entry.name,
    decision: [t(`decisions.${decision}`), entry.view].filter(Boolean).join(" "),
    probability: abstained ? t("result.abstainedValue") : format.percent(probability),
    date: format.date(entry.date),
  };
  let colour = theme.quiet;
  if (decision === "opacity suspected") colour = theme.suspected;
  else if (decision === "no opacity suspected") colour = theme.clear;
  return (
    <View style={[styles.row, { backgroundColor: theme.raised, borderColor: theme.line }]}>
      <Pressable
        accessibilityRole="link"
        accessibilityLabel={t("history.item", shown)}
        onPress={() => router.push({ pathname: "/result/[id]", params: { id: entry.id } })}
        style={styles.open}
      >
        <Thumbnail id={entry.id} {...(picture ? { picture } : {})} />
        <View style={styles.words}>
          <Text
            numberOfLines={1}
            style={{
              color: theme.text,
              fontWeight: "600",
              fontSize: sized(15),
              // A Latin name stays beside the thumbnail in Arabic too.
              textAlign: direction(i18n.language) === "rtl" ? "right" : "left",
            }}
          >
            {shown.name}
          </Text>
          <Text style={{ color: colour, fontWeight: "600", fontSize: sized(14) }}>
            {/* A narrow row breaks within the decision, not between the numbers. */}
            {[t(`decisions.${decision}`), abstained ? "" : shown.probability, entry.view].filter(Boolean).join("\u00a0·\u00a0")}
          </Text>
          <Text style={{ color: theme.quiet, fontSize: sized(13) }}>{shown.date}</Text>
        </View>
      </Pressable>
      {onDelete ? (
        <Pressable
          accessibilityRole="button"
          accessibilityLabel={t("history.delete", { name: entry.name })}
          onPress={() => onDelete(entry.id)}
          style={styles.delete}
        >
          <Icon name="trash" colour={theme.quiet} size={22} />
        </Pressable>
      ) : null}
    </View>
  );
});

function Thumbnail({ id, picture }: { id: string; picture?: GreyPicture }) {
  const [fetched, setFetched] = useState<{ readonly id: string; readonly picture: GreyPicture | null } | null>(null);
  useEffect(() => {
    if (picture) return;
    let current = true;
    history
      .thumbnail(id)
      .then((found) => current && setFetched({ id, picture: found }))
      .catch(() => undefined);
    return () => {
      current = false;
    };
  }, [id, picture]);
  // A row may show another result than before, whose picture is still on its way.
  const shown = picture ?? (fetched?.id === id ? fetched.picture : null);
  const image = useMemo(() => (shown ? windowed(shown, 128, 256) : null), [shown]);
  const fit = shown ? SIDE / Math.max(shown.rows, shown.columns) : 0;
  return (
    <View style={styles.thumbnail}>
      {shown && image ? <Picture picture={image} width={shown.columns * fit} height={shown.rows * fit} /> : null}
    </View>
  );
}

const styles = StyleSheet.create({
  row: { flexDirection: "row", borderWidth: 1, borderRadius: 16, alignItems: "center" },
  open: { flexDirection: "row", flex: 1, padding: 10, gap: 12, alignItems: "center", minWidth: 0 },
  thumbnail: { width: SIDE, height: SIDE, backgroundColor: "#000", borderRadius: 10, overflow: "hidden" },
  words: { flex: 1, gap: 2, minWidth: 0 },
  delete: { width: 52, height: 52, alignItems: "center", justifyContent: "center" },
});
