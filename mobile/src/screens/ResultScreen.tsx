/** One result out of the history. */

import { useLocalSearchParams, useRouter } from "expo-router";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ActivityIndicator } from "react-native";

import { Body, Button } from "@/components/controls";
import { ResultView } from "@/components/ResultView";
import { Screen } from "@/components/Screen";
import { shareJson, sharePdf } from "@/exporting/share";
import type { HistoryRecord } from "@/history/record";
import { history } from "@/history/store";

export function ResultScreen() {
  const { id } = useLocalSearchParams<{ id: string }>();
  const { t, i18n } = useTranslation();
  const router = useRouter();
  const [record, setRecord] = useState<HistoryRecord | null | undefined>(undefined);

  useEffect(() => {
    let current = true;
    history
      .get(id)
      .catch(() => null)
      .then((found) => {
        if (current) setRecord(found);
      });
    return () => {
      current = false;
    };
  }, [id]);

  const home = () => (router.canGoBack() ? router.back() : router.replace("/"));
  if (record === undefined) {
    return (
      <Screen>
        <ActivityIndicator />
      </Screen>
    );
  }
  if (!record) {
    return (
      <Screen>
        <Body>{t("result.missing")}</Body>
        <Button label={t("nav.home")} onPress={() => router.replace("/")} />
      </Screen>
    );
  }
  return (
    <Screen>
      <ResultView record={record} />
      <Button label={t("result.exportPdf")} onPress={() => void sharePdf(record, i18n.language)} />
      <Button label={t("result.exportJson")} onPress={() => void shareJson([record])} />
      <Button
        label={t("result.delete")}
        kind="danger"
        onPress={() => void history.remove(record.id).then(home)}
      />
    </Screen>
  );
}
