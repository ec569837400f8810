/** A screen that scrolls, in the theme's colours, with the notice at its top. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ScrollView, StyleSheet, View } from "react-native";
import { useSafeAreaInsets } from "react-native-safe-area-context";

import { Notice } from "@/components/controls";
import { direction } from "@/i18n";
import { useTheme } from "@/theme/theme";

export function Screen({ children }: { children: ReactNode }) {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const insets = useSafeAreaInsets();
  return (
    <ScrollView
      role="main"
      style={{ backgroundColor: theme.ground, direction: direction(i18n.language) }}
      contentContainerStyle={[styles.content, { paddingBottom: 24 + insets.bottom }]}
      keyboardShouldPersistTaps="handled"
    >
      <View style={styles.column}>
        <Notice text={t("app.notice")} />
        {children}
      </View>
    </ScrollView>
  );
}

const styles = StyleSheet.create({
  content: { padding: 12, alignItems: "center" },
  column: { width: "100%", maxWidth: 680, gap: 12 },
});
