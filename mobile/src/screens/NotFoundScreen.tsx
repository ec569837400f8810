/** An unknown address. */

import { useRouter } from "expo-router";
import { useTranslation } from "react-i18next";

import { Body, Button } from "@/components/controls";
import { Screen } from "@/components/Screen";

export function NotFoundScreen() {
  const { t } = useTranslation();
  const router = useRouter();
  return (
    <Screen title={t("app.title")}>
      <Body>{t("nav.notFound")}</Body>
      <Button label={t("nav.home")} icon="home" kind="main" onPress={() => router.dismissTo("/")} />
    </Screen>
  );
}
