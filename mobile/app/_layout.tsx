import { Stack } from "expo-router";
import { StatusBar } from "expo-status-bar";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Platform, StyleSheet } from "react-native";
import { GestureHandlerRootView } from "react-native-gesture-handler";

import { DetectorProvider, useDetector } from "@/detecting/DetectorContext";
import { getSetting } from "@/history/settings";
import { direction } from "@/i18n";
import { registerServiceWorker } from "@/offline/offline";
import { WorkbenchProvider } from "@/screens/Workbench";
import { useTheme } from "@/theme/theme";

export default function Layout() {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const { language } = i18n;

  useEffect(() => {
    const chosen = getSetting("language");
    if (chosen) void i18n.changeLanguage(chosen);
  }, [i18n]);
  useEffect(() => {
    if (Platform.OS !== "web") return;
    document.documentElement.lang = language;
    document.documentElement.dir = direction(language);
  }, [language]);

  return (
    <GestureHandlerRootView style={styles.whole}>
      <StatusBar style="auto" />
      <DetectorProvider>
        <Installer />
        <WorkbenchProvider>
          <Stack
            screenOptions={{
              headerStyle: { backgroundColor: theme.raised },
              headerTintColor: theme.text,
              contentStyle: { backgroundColor: theme.ground },
            }}
          >
            <Stack.Screen name="index" options={{ title: t("app.title") }} />
            <Stack.Screen name="straighten" options={{ title: t("nav.straighten") }} />
            <Stack.Screen name="result/[id]" options={{ title: t("nav.result") }} />
            <Stack.Screen name="history" options={{ title: t("nav.history") }} />
            <Stack.Screen name="about" options={{ title: t("nav.about") }} />
          </Stack>
        </WorkbenchProvider>
      </DetectorProvider>
    </GestureHandlerRootView>
  );
}

/** Keeps the page's files once the first radiograph can be judged: what is loaded is not fetched twice. */
function Installer() {
  const { detector } = useDetector();
  useEffect(() => {
    if (detector) registerServiceWorker();
  }, [detector]);
  return null;
}

const styles = StyleSheet.create({ whole: { flex: 1 } });
