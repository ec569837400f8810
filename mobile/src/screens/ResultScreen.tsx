/** One result, of this session or from the history. */

import { useLocalSearchParams, useRouter } from "expo-router";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ActivityIndicator, StyleSheet, View } from "react-native";

import { Body, Button } from "@/components/controls";
import { ResultView } from "@/components/ResultView";
import { Screen } from "@/components/Screen";
import { useEngine } from "@/detecting/EngineContext";
import { shareJson, sharePdf } from "@/exporting/share";
import type { HistoryRecord } from "@/history/record";
import { history } from "@/history/store";

import { useWorkbench } from "./Workbench";

export function ResultScreen() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const { t, i18n } = useTranslation();
  const router = useRouter();
  const { engine } = useEngine();
  const { recent, detail } = useWorkbench();
  const [kept, setKept] = useState<HistoryRecord | null | undefined>(undefined);
  const [lasting, setLasting] = useState(true);
  const [failed, setFailed] = useState(false);
  const [deleted, setDeleted] = useState<HistoryRecord | null>(null);
  const record = deleted ?? recent(id) ?? kept;

  useEffect(() => {
    let current = true;
    history
      .get(id)
      .catch(() => null)
      .then((found) => current && setKept(found));
    history
      .lasting()
      .catch(() => false)
      .then((lasts) => current && setLasting(lasts));
    return () => {
      current = false;
    };
  }, [id]);

  const undo = () => {
    setKept(deleted);
    setDeleted(null);
  };
  const home = () => router.dismissTo("/");
  const share = (sharing: Promise<void>) => {
    setFailed(false);
    sharing.catch(() => setFailed(true));
  };
  if (record === undefined) {
    return (
      <Screen title={t("nav.result")}>
        <ActivityIndicator />
      </Screen>
    );
  }
  if (!record) {
    return (
      <Screen title={t("nav.result")}>
        <Body>{t("result.missing")}</Body>
        <Button label={t("nav.home")} icon="home" kind="main" onPress={home} />
      </Screen>
    );
  }
  if (deleted) {
    return (
      <Screen title={t("nav.result")}>
        <Body>{t("history.deleted", { count: 1 })}</Body>
        <Button
          label={t("history.undo")}
          icon="history"
          kind="main"
          onPress={() => void history.put(deleted).then(undo)}
        />
        <Button label={t("nav.home")} icon="home" onPress={home} />
      </Screen>
    );
  }
  return (
    <Screen title={t("nav.result")} wide>
      <ResultView
        record={record}
        thresholds={engine?.card.operatingPoints.map(({ threshold }) => threshold) ?? []}
        detail={detail(record.id)}
      />
      {lasting ? null : <Body quiet>{t("result.notKept")}</Body>}
      {failed ? (
        <View role="alert">
          <Body>{t("result.shareFailed")}</Body>
        </View>
      ) : null}
      <View style={styles.row}>
        <Button label={t("nav.next")} icon="camera" kind="main" style={styles.grow} onPress={home} />
        <Button
          label={t("result.exportPdf")}
          icon="share"
          style={styles.grow}
          onPress={() => share(sharePdf(record, i18n.language))}
        />
        <Button label={t("result.exportJson")} icon="share" style={styles.grow} onPress={() => share(shareJson([record]))} />
        <Button
          label={t("result.delete")}
          icon="trash"
          kind="danger"
          style={styles.grow}
          onPress={() => void history.remove([record.id]).then(() => setDeleted(record))}
        />
      </View>
    </Screen>
  );
}

const styles = StyleSheet.create({
  row: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  grow: { flexGrow: 1 },
});
