import { Stack } from "expo-router";
import { StatusBar } from "expo-status-bar";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Platform, StyleSheet } from "react-native";
import { GestureHandlerRootView } from "react-native-gesture-handler";

import { EngineProvider, useEngine } from "@/detecting/EngineContext";
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
      <EngineProvider>
        <Installer />
        <WorkbenchProvider>
          <Stack
            // Each screen has its own header: mirrored in Arabic, with a way home after a reload.
            screenOptions={{ headerShown: false, contentStyle: { backgroundColor: theme.ground } }}
          >
            <Stack.Screen name="index" options={{ title: t("app.title") }} />
            <Stack.Screen name="straighten" options={{ title: t("nav.straighten") }} />
            <Stack.Screen name="result/[id]" options={{ title: t("nav.result") }} />
            <Stack.Screen name="history" options={{ title: t("nav.history") }} />
            <Stack.Screen name="about" options={{ title: t("nav.about") }} />
            <Stack.Screen name="+not-found" options={{ title: t("app.title") }} />
          </Stack>
        </WorkbenchProvider>
      </EngineProvider>
    </GestureHandlerRootView>
  );
}

/** Keeps the page's files once the first radiograph can be judged: what is loaded is not fetched twice. */
function Installer() {
  const { engine } = useEngine();
  useEffect(() => {
    if (engine) registerServiceWorker();
  }, [engine]);
  return null;
}

const styles = StyleSheet.create({ whole: { flex: 1 } });
