/** A screen that scrolls, in the theme's colours: its header, the notice, and what it shows. */

import { useRouter } from "expo-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Pressable, ScrollView, StyleSheet, Text, View } from "react-native";
import { useSafeAreaInsets } from "react-native-safe-area-context";

import { Button, Notice } from "@/components/controls";
import { Icon } from "@/components/Icon";
import { direction } from "@/i18n";
import { useUpdate } from "@/offline/offline";
import { sized, useTheme } from "@/theme/theme";

interface ScreenProps {
  readonly title: string;
  readonly children: ReactNode;
  /** The first screen has no way back. */
  readonly first?: boolean;
  readonly wide?: boolean;
  /** What stays at the foot of the screen while the rest scrolls. */
  readonly foot?: ReactNode;
}

export function Screen({ title, children, first = false, wide = false, foot }: ScreenProps) {
  const { t, i18n } = useTranslation();
  const theme = useTheme();
  const insets = useSafeAreaInsets();
  const router = useRouter();
  const update = useUpdate();
  const side = direction(i18n.language);
  // After a reload there is nothing to go back to but the first screen.
  const back = () => (router.canGoBack() ? router.back() : router.replace("/"));
  return (
    <View style={[styles.whole, { backgroundColor: theme.ground, direction: side }]}>
      <View style={[styles.header, { backgroundColor: theme.raised, paddingTop: insets.top }]}>
        {first ? null : (
          <Pressable
            accessibilityRole="button"
            accessibilityLabel={t("nav.back")}
            onPress={back}
            style={[styles.back, side === "rtl" && styles.mirrored]}
          >
            <Icon name="back" colour={theme.text} />
          </Pressable>
        )}
        <Text
          accessibilityRole="header"
          aria-level={1}
          numberOfLines={1}
          style={[styles.title, { color: theme.text, fontSize: sized(20), textAlign: side === "rtl" ? "right" : "left" }]}
        >
          {title}
        </Text>
      </View>
      <ScrollView
        role="main"
        style={styles.whole}
        contentContainerStyle={[styles.content, { paddingBottom: 24 + (foot ? 0 : insets.bottom) }]}
        keyboardShouldPersistTaps="handled"
      >
        <View style={[styles.column, { maxWidth: wide ? 1240 : 680 }]}>
          <Notice text={t("app.notice")} />
          {update ? <Button label={t("app.update")} icon="turn" kind="main" onPress={update} /> : null}
          {children}
        </View>
      </ScrollView>
      {foot ? (
        <View style={[styles.foot, { backgroundColor: theme.raised, borderColor: theme.line, paddingBottom: 10 + insets.bottom }]}>
          {foot}
        </View>
      ) : null}
    </View>
  );
}

const styles = StyleSheet.create({
  whole: { flex: 1 },
  header: { minHeight: 56, flexDirection: "row", alignItems: "center", paddingHorizontal: 8 },
  back: { width: 48, height: 48, alignItems: "center", justifyContent: "center" },
  mirrored: { transform: [{ scaleX: -1 }] },
  title: { flex: 1, fontWeight: "700", paddingHorizontal: 8 },
  content: { padding: 12, alignItems: "center" },
  column: { width: "100%", gap: 12 },
  foot: { borderTopWidth: 1, padding: 10, gap: 8, flexDirection: "row", flexWrap: "wrap", justifyContent: "center" },
});
