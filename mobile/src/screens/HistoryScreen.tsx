/** The results kept on this device. */

import { useFocusEffect, useRouter } from "expo-router";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { Pressable, StyleSheet, Text, TextInput, View } from "react-native";

import { Body, Button, Section } from "@/components/controls";
import { Picture } from "@/components/Picture";
import { Screen } from "@/components/Screen";
import { windowed } from "@/detecting/heatmap";
import { shareJson } from "@/exporting/share";
import type { HistoryRecord } from "@/history/record";
import { history } from "@/history/store";
import { useFormat } from "@/i18n/format";
import { direction } from "@/i18n";
import { useTheme } from "@/theme/theme";

const THUMBNAIL = 64;
const SHOWN = 100;

export function HistoryScreen() {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const [query, setQuery] = useState("");
  const [records, setRecords] = useState<readonly HistoryRecord[]>([]);
  const [asking, setAsking] = useState(false);

  const refresh = useCallback((wanted: string) => {
    let current = true;
    history
      .search(wanted)
      .catch(() => [])
      .then((found) => {
        if (current) setRecords(found);
      });
    return () => {
      current = false;
    };
  }, []);
  useFocusEffect(useCallback(() => refresh(query), [refresh, query]));

  const remove = (id: string) => void history.remove(id).then(() => refresh(query));
  const removeAll = () => {
    setAsking(false);
    void history.clear().then(() => refresh(query));
  };
  return (
    <Screen>
      <TextInput
        accessibilityLabel={t("history.search")}
        placeholder={t("history.search")}
        placeholderTextColor={theme.quiet}
        value={query}
        onChangeText={setQuery}
        style={[
          styles.search,
          {
            color: theme.text,
            borderColor: theme.line,
            backgroundColor: theme.raised,
            textAlign: direction(i18n.language) === "rtl" ? "right" : "left",
          },
        ]}
      />
      <Body quiet>
        {records.length ? t("history.count", { count: records.length }) : t(query ? "history.noMatch" : "history.empty")}
      </Body>
      {records.slice(0, SHOWN).map((record) => (
        <Entry key={record.id} record={record} onDelete={() => remove(record.id)} />
      ))}
      {records.length ? (
        <>
          <Button label={t("history.exportAll")} onPress={() => void shareJson(records)} />
          {asking ? (
            <Section title={t("history.confirmAll")}>
              <Button label={t("history.confirm")} kind="danger" onPress={removeAll} />
              <Button label={t("history.cancel")} onPress={() => setAsking(false)} />
            </Section>
          ) : (
            <Button label={t("history.deleteAll")} kind="danger" onPress={() => setAsking(true)} />
          )}
        </>
      ) : null}
    </Screen>
  );
}

function Entry({ record, onDelete }: { record: HistoryRecord; onDelete: () => void }) {
  const { t } = useTranslation();
  const theme = useTheme();
  const format = useFormat();
  const router = useRouter();
  const { picture, decision, probability } = record.prediction;
  const fit = THUMBNAIL / Math.max(picture.rows, picture.columns);
  const [image] = useState(() => windowed(picture, 128, 256));
  const shown = {
    name: record.name,
    decision: t(`decisions.${decision}`),
    probability: decision === "abstained" ? t("result.abstainedValue") : format.percent(probability),
    date: format.date(record.date),
  };
  return (
    <View style={[styles.entry, { backgroundColor: theme.raised, borderColor: theme.line }]}>
      <Pressable
        accessibilityRole="link"
        accessibilityLabel={t("history.item", shown)}
        onPress={() => router.push({ pathname: "/result/[id]", params: { id: record.id } })}
        style={styles.open}
      >
        <View style={styles.thumbnail}>
          <Picture picture={image} width={picture.columns * fit} height={picture.rows * fit} />
        </View>
        <View style={styles.words}>
          <Text numberOfLines={1} style={[styles.name, { color: theme.text }]}>
            {shown.name}
          </Text>
          <Text style={{ color: theme.quiet }}>
            {shown.decision}
            {decision === "abstained" ? "" : ` · ${shown.probability}`}
          </Text>
          <Text style={{ color: theme.quiet }}>{shown.date}</Text>
        </View>
      </Pressable>
      <Pressable
        accessibilityRole="button"
        accessibilityLabel={t("history.delete", { name: record.name })}
        onPress={onDelete}
        style={styles.delete}
      >
        <Text style={{ color: theme.suspected, fontSize: 18 }}>✕</Text>
      </Pressable>
    </View>
  );
}

const styles = StyleSheet.create({
  search: { minHeight: 48, borderWidth: 1, borderRadius: 10, paddingHorizontal: 12, fontSize: 16 },
  entry: { flexDirection: "row", borderWidth: 1, borderRadius: 12, alignItems: "center" },
  open: { flexDirection: "row", flex: 1, padding: 10, gap: 12, alignItems: "center" },
  thumbnail: { width: THUMBNAIL, height: THUMBNAIL, backgroundColor: "#000", borderRadius: 6, overflow: "hidden" },
  words: { flex: 1, gap: 2 },
  name: { fontWeight: "600", fontSize: 15 },
  delete: { width: 48, height: 48, alignItems: "center", justifyContent: "center" },
});
