/** The few controls that the screens are made of. */

import type { ReactNode } from "react";
import { Pressable, type StyleProp, StyleSheet, Text, View, type ViewStyle } from "react-native";

import { useTheme } from "@/theme/theme";

interface ButtonProps {
  readonly label: string;
  readonly onPress: () => void;
  readonly hint?: string;
  readonly kind?: "main" | "plain" | "danger";
  readonly disabled?: boolean;
  readonly style?: StyleProp<ViewStyle>;
}

/** A button of at least 48 points height. */
export function Button({ label, onPress, hint, kind = "plain", disabled = false, style }: ButtonProps) {
  const theme = useTheme();
  const main = kind === "main";
  let colour = main ? theme.onAccent : theme.accent;
  if (kind === "danger") colour = theme.suspected;
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      accessibilityState={{ disabled }}
      {...(hint ? { accessibilityHint: hint } : {})}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed }) => [
        styles.button,
        { backgroundColor: main ? theme.accent : theme.raised, borderColor: main ? theme.accent : theme.line },
        (pressed || disabled) && styles.faint,
        style,
      ]}
    >
      <Text style={[styles.buttonText, { color: colour }]}>{label}</Text>
    </Pressable>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly options: readonly { readonly value: T; readonly label: string }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}

/** One of a few options, all in sight. */
export function Choice<T extends string>({ label, options, value, onChange }: ChoiceProps<T>) {
  const theme = useTheme();
  return (
    <View accessibilityRole="radiogroup" accessibilityLabel={label} style={styles.choice}>
      {options.map((option) => {
        const chosen = option.value === value;
        return (
          <Pressable
            key={option.value}
            accessibilityRole="radio"
            accessibilityLabel={option.label}
            accessibilityState={{ checked: chosen }}
            aria-checked={chosen}
            onPress={() => onChange(option.value)}
            style={[
              styles.option,
              { borderColor: chosen ? theme.accent : theme.line, backgroundColor: chosen ? theme.accent : theme.raised },
            ]}
          >
            <Text style={{ color: chosen ? theme.onAccent : theme.text, fontWeight: "600" }}>{option.label}</Text>
          </Pressable>
        );
      })}
    </View>
  );
}

interface AdjusterProps {
  readonly label: string;
  readonly less: string;
  readonly more: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly step: number;
  readonly onChange: (value: number) => void;
}

/** A number between two ends, by buttons, by keys and by a screen reader's own gestures. */
export function Adjuster({ label, less, more, value, low, high, step, onChange }: AdjusterProps) {
  const theme = useTheme();
  const change = (by: number) => onChange(Math.min(high, Math.max(low, value + by)));
  const keys = {
    onKeyDown: (event: { key: string; preventDefault?: () => void }) => {
      const by = { ArrowUp: step, ArrowRight: step, ArrowDown: -step, ArrowLeft: -step }[event.key];
      if (by === undefined) return;
      event.preventDefault?.();
      change(by);
    },
  };
  return (
    <View style={styles.adjuster}>
      <Text style={[styles.adjusterLabel, { color: theme.text }]}>{label}</Text>
      <Step sign="−" label={less} onPress={() => change(-step)} />
      <View
        accessible
        focusable
        tabIndex={0}
        accessibilityRole="adjustable"
        role="slider"
        accessibilityLabel={label}
        accessibilityValue={{ min: low, max: high, now: value }}
        aria-valuemin={low}
        aria-valuemax={high}
        aria-valuenow={value}
        accessibilityActions={[{ name: "increment" }, { name: "decrement" }]}
        onAccessibilityAction={(event) => change(event.nativeEvent.actionName === "increment" ? step : -step)}
        style={[styles.track, { backgroundColor: theme.line }]}
        {...keys}
      >
        <View
          style={[styles.filled, { backgroundColor: theme.accent, width: `${(100 * (value - low)) / (high - low)}%` }]}
        />
      </View>
      <Step sign="+" label={more} onPress={() => change(step)} />
    </View>
  );
}

function Step({ sign, label, onPress }: { sign: string; label: string; onPress: () => void }) {
  const theme = useTheme();
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      onPress={onPress}
      style={[styles.step, { borderColor: theme.line, backgroundColor: theme.raised }]}
    >
      <Text style={{ color: theme.accent, fontSize: 20, fontWeight: "600" }}>{sign}</Text>
    </Pressable>
  );
}

/** A group with a heading. */
export function Section({ title, children }: { title?: string; children: ReactNode }) {
  const theme = useTheme();
  return (
    <View style={[styles.section, { backgroundColor: theme.raised, borderColor: theme.line }]}>
      {title ? (
        <Text accessibilityRole="header" style={[styles.heading, { color: theme.text }]}>
          {title}
        </Text>
      ) : null}
      {children}
    </View>
  );
}

/** What must never be out of sight of a result. */
export function Notice({ text }: { text: string }) {
  const theme = useTheme();
  return (
    <View role="note" style={[styles.notice, { backgroundColor: theme.notice }]}>
      <Text style={{ color: theme.onNotice, fontWeight: "600" }}>{text}</Text>
    </View>
  );
}

export function Body({ children, quiet = false }: { children: ReactNode; quiet?: boolean }) {
  const theme = useTheme();
  return <Text style={[styles.body, { color: quiet ? theme.quiet : theme.text }]}>{children}</Text>;
}

const styles = StyleSheet.create({
  button: {
    minHeight: 48,
    borderRadius: 10,
    borderWidth: 1,
    paddingHorizontal: 16,
    paddingVertical: 12,
    alignItems: "center",
    justifyContent: "center",
  },
  buttonText: { fontSize: 16, fontWeight: "600", textAlign: "center" },
  faint: { opacity: 0.6 },
  choice: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  option: { minHeight: 44, paddingHorizontal: 14, justifyContent: "center", borderRadius: 10, borderWidth: 1 },
  adjuster: { flexDirection: "row", alignItems: "center", gap: 8 },
  adjusterLabel: { flexBasis: 110, flexShrink: 1, fontSize: 14 },
  step: { width: 44, height: 44, borderRadius: 10, borderWidth: 1, alignItems: "center", justifyContent: "center" },
  track: { flex: 1, height: 8, borderRadius: 4, overflow: "hidden" },
  filled: { height: 8 },
  section: { borderRadius: 12, borderWidth: 1, padding: 14, gap: 10 },
  heading: { fontSize: 17, fontWeight: "700" },
  notice: { borderRadius: 10, padding: 12 },
  body: { fontSize: 15, lineHeight: 21 },
});
