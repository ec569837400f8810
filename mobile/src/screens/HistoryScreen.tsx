/** The results stored on this device: search, open, delete with undo. */

import { useFocusEffect, useRouter } from "expo-router";
import { useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { StyleSheet, TextInput, View } from "react-native";

import { Body, Button, Section } from "@/components/controls";
import { ResultRow } from "@/components/ResultRow";
import { Screen } from "@/components/Screen";
import { shareJson } from "@/exporting/share";
import type { Entry, HistoryRecord } from "@/history/record";
import { history } from "@/history/store";
import { direction } from "@/i18n";
import { sized, useTheme } from "@/theme/theme";

/** Rows at first, about a screen of them, and with each "Show more". */
const FIRST = 12;
const PAGE = 30;
/** Time in which a deletion can be undone, in milliseconds. */
const UNDO = 8000;

/** What is deleted in a moment: some results, or all. */
type Leaving = readonly string[] | "all";

export function HistoryScreen() {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const router = useRouter();
  const [query, setQuery] = useState("");
  const [entries, setEntries] = useState<readonly Entry[]>([]);
  const [total, setTotal] = useState<number | null>(null);
  const [limit, setLimit] = useState(FIRST);
  const [asking, setAsking] = useState(false);
  const [failed, setFailed] = useState(false);
  const { leaving, leave, undo } = useDeletion();

  const refresh = useCallback(() => {
    let current = true;
    history
      .search(query, 0, limit)
      .then((found) => {
        if (!current) return;
        setEntries(found.entries);
        setTotal(found.total);
      })
      .catch(() => undefined);
    return () => {
      current = false;
    };
    // Also when a deletion is done or taken back.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [query, limit, leaving]);
  useFocusEffect(refresh);

  const leaveOne = useCallback((id: string) => leave([id]), [leave]);
  const shown = leaving === "all" ? [] : entries.filter(({ id }) => !leaving?.includes(id));
  const count = leaving === "all" ? 0 : (total ?? 0) - (leaving?.length ?? 0);
  const shareAll = async () => {
    const records: HistoryRecord[] = [];
    const all = await history.search(query, 0, Number.MAX_SAFE_INTEGER);
    for (const { id } of all.entries) {
      const record = await history.get(id);
      if (record) records.push(record);
    }
    await shareJson(records);
  };
  return (
    <Screen
      title={t("nav.history")}
      foot={
        leaving ? (
          <>
            <Body>{t("history.deleted", { count: leaving === "all" ? (total ?? 0) : leaving.length })}</Body>
            <Button label={t("history.undo")} icon="history" onPress={undo} />
          </>
        ) : undefined
      }
    >
      <TextInput
        accessibilityLabel={t("history.search")}
        placeholder={t("history.search")}
        placeholderTextColor={theme.quiet}
        value={query}
        onChangeText={(text) => {
          setQuery(text);
          setLimit(FIRST);
        }}
        style={[
          styles.search,
          {
            color: theme.text,
            fontSize: sized(16),
            borderColor: theme.line,
            backgroundColor: theme.raised,
            textAlign: direction(i18n.language) === "rtl" ? "right" : "left",
          },
        ]}
      />
      {total === null ? null : (
        <Body quiet>{count ? t("history.count", { count }) : t(query ? "history.noMatch" : "history.empty")}</Body>
      )}
      {count === 0 && !query && total !== null ? (
        <Button label={t("nav.next")} icon="camera" kind="main" onPress={() => router.dismissTo("/")} />
      ) : null}
      {shown.map((entry, slot) => (
        // By place and not by result: a search changes the words of rows, and makes none anew.
        <ResultRow key={slot} entry={entry} onDelete={leaveOne} />
      ))}
      {count > shown.length ? <Button label={t("history.more")} onPress={() => setLimit(limit + PAGE)} /> : null}
      {failed ? (
        <View role="alert">
          <Body>{t("result.shareFailed")}</Body>
        </View>
      ) : null}
      {count ? (
        <>
          <Button
            label={t("history.exportAll")}
            icon="share"
            onPress={() => {
              setFailed(false);
              shareAll().catch(() => setFailed(true));
            }}
          />
          {asking ? (
            <Section title={t("history.confirmAll")}>
              <Button
                label={t("history.confirm")}
                icon="trash"
                kind="danger"
                onPress={() => {
                  setAsking(false);
                  leave("all");
                }}
              />
              <Button label={t("history.cancel")} onPress={() => setAsking(false)} />
            </Section>
          ) : (
            <Button label={t("history.deleteAll")} icon="trash" kind="danger" onPress={() => setAsking(true)} />
          )}
        </>
      ) : null}
    </Screen>
  );
}

/** Deletion with undo. It is carried out after the time limit, at the next deletion, or on leaving the screen. */
function useDeletion() {
  const [leaving, setLeaving] = useState<Leaving | null>(null);
  const pending = useRef<Leaving | null>(null);
  const finish = useCallback(async () => {
    const wanted = pending.current;
    pending.current = null;
    if (wanted === "all") await history.clear();
    else if (wanted) await history.remove(wanted);
    setLeaving((now) => (now === wanted ? null : now));
  }, []);
  useEffect(() => {
    if (!leaving) return;
    const timer = setTimeout(() => void finish().catch(() => undefined), UNDO);
    return () => clearTimeout(timer);
  }, [leaving, finish]);
  useEffect(() => () => void finish().catch(() => undefined), [finish]);
  const leave = useCallback(
    (wanted: Leaving) => {
      void finish()
        .catch(() => undefined)
        .then(() => {
          pending.current = wanted;
          setLeaving(wanted);
        });
    },
    [finish],
  );
  return {
    leaving,
    leave,
    undo: () => {
      pending.current = null;
      setLeaving(null);
    },
  };
}

const styles = StyleSheet.create({
  search: { minHeight: 48, borderWidth: 1, borderRadius: 12, paddingHorizontal: 12 },
});
