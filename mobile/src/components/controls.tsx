/** The controls of the screens. */

import { type ReactNode, useState } from "react";
import { type LayoutChangeEvent, Pressable, type StyleProp, StyleSheet, Text, View, type ViewStyle } from "react-native";
import { Gesture, GestureDetector } from "react-native-gesture-handler";

import { Icon, type IconName } from "@/components/Icon";
import { sized, useTheme } from "@/theme/theme";

interface ButtonProps {
  readonly label: string;
  readonly onPress: () => void;
  readonly icon?: IconName;
  readonly hint?: string;
  readonly kind?: "main" | "plain" | "danger";
  readonly disabled?: boolean;
  readonly style?: StyleProp<ViewStyle>;
}

/** A button of at least 48 points height. */
export function Button({ label, onPress, icon, hint, kind = "plain", disabled = false, style }: ButtonProps) {
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
      {icon ? <Icon name={icon} colour={colour} size={20} /> : null}
      <Text style={[styles.buttonText, { color: colour, fontSize: sized(16) }]}>{label}</Text>
    </Pressable>
  );
}

interface IconButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly onPress: () => void;
  readonly pressed?: boolean;
}

/** A square button with an icon; one that stays pressed is a switch. */
export function IconButton({ icon, label, onPress, pressed }: IconButtonProps) {
  const theme = useTheme();
  const on = pressed === true;
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      {...(pressed === undefined ? {} : { "aria-pressed": on, accessibilityState: { selected: on } })}
      onPress={onPress}
      style={[
        styles.iconButton,
        { borderColor: on ? theme.accent : theme.line, backgroundColor: on ? theme.accent : theme.raised },
      ]}
    >
      <Icon name={icon} colour={on ? theme.onAccent : theme.accent} />
    </Pressable>
  );
}

/** A large button with an icon above its name. */
export function Tile({ icon, label, onPress, disabled = false }: ButtonProps & { readonly icon: IconName }) {
  const theme = useTheme();
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      accessibilityState={{ disabled }}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed }) => [styles.tile, { backgroundColor: theme.tint }, (pressed || disabled) && styles.faint]}
    >
      <Icon name={icon} colour={theme.accent} size={30} />
      <Text style={{ color: theme.accent, fontSize: sized(15), fontWeight: "600", textAlign: "center" }}>{label}</Text>
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
            <Text style={{ color: chosen ? theme.onAccent : theme.text, fontWeight: "600", fontSize: sized(15) }}>
              {option.label}
            </Text>
          </Pressable>
        );
      })}
    </View>
  );
}

interface SliderProps {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly step: number;
  readonly onChange: (value: number) => void;
}

const THUMB = 28;

/** A number between two ends: slides under a finger, and moves by keys and by a screen reader's gestures. */
export function Slider({ label, value, low, high, step, onChange }: SliderProps) {
  const theme = useTheme();
  const [width, setWidth] = useState(0);
  const limited = (wanted: number) => Math.min(high, Math.max(low, wanted));
  const at = (x: number) => {
    const share = Math.min(1, Math.max(0, (x - THUMB / 2) / Math.max(1, width - THUMB)));
    onChange(limited(Math.round(low + share * (high - low))));
  };
  const slide = Gesture.Pan()
    .runOnJS(true)
    .minDistance(0)
    .onBegin(({ x }) => at(x))
    .onUpdate(({ x }) => at(x));
  const keys = {
    onKeyDown: (event: { key: string; preventDefault?: () => void }) => {
      const by = { ArrowUp: step, ArrowRight: step, ArrowDown: -step, ArrowLeft: -step }[event.key];
      if (by === undefined) return;
      event.preventDefault?.();
      onChange(limited(value + by));
    },
  };
  const share = (value - low) / (high - low);
  return (
    <View style={styles.slider}>
      <Text style={{ color: theme.text, fontSize: sized(14) }}>{label}</Text>
      <GestureDetector gesture={slide} touchAction="none">
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
          onAccessibilityAction={(event) =>
            onChange(limited(value + (event.nativeEvent.actionName === "increment" ? step : -step)))
          }
          onLayout={(event: LayoutChangeEvent) => setWidth(event.nativeEvent.layout.width)}
          style={styles.slot}
          {...keys}
        >
          <View style={[styles.track, { backgroundColor: theme.line }]}>
            <View style={[styles.filled, { backgroundColor: theme.accent, width: `${100 * share}%` }]} />
          </View>
          <View style={[styles.thumb, { backgroundColor: theme.accent, left: share * Math.max(0, width - THUMB) }]} />
        </View>
      </GestureDetector>
    </View>
  );
}

/** A group with a heading. */
export function Section({ title, children }: { title?: string; children: ReactNode }) {
  const theme = useTheme();
  return (
    <View style={[styles.section, { backgroundColor: theme.raised, borderColor: theme.line }]}>
      {title ? (
        <Text accessibilityRole="header" style={[styles.heading, { color: theme.text, fontSize: sized(17) }]}>
          {title}
        </Text>
      ) : null}
      {children}
    </View>
  );
}

/** A group that opens when it is asked for. */
export function Details({ title, children }: { title: string; children: ReactNode }) {
  const theme = useTheme();
  const [open, setOpen] = useState(false);
  return (
    <View style={[styles.section, { backgroundColor: theme.raised, borderColor: theme.line }]}>
      <Pressable
        accessibilityRole="button"
        accessibilityLabel={title}
        accessibilityState={{ expanded: open }}
        aria-expanded={open}
        onPress={() => setOpen(!open)}
        style={styles.summary}
      >
        <Text style={[styles.heading, { color: theme.text, fontSize: sized(17) }]}>{title}</Text>
        <View style={{ transform: [{ rotate: open ? "90deg" : "-90deg" }] }}>
          <Icon name="back" colour={theme.quiet} size={20} />
        </View>
      </Pressable>
      {open ? children : null}
    </View>
  );
}

/** The research notice, always visible beside a result. */
export function Notice({ text }: { text: string }) {
  const theme = useTheme();
  return (
    <View role="note" style={[styles.notice, { backgroundColor: theme.notice }]}>
      <Text style={{ color: theme.onNotice, fontWeight: "600", fontSize: sized(13) }}>{text}</Text>
    </View>
  );
}

export function Body({ children, quiet = false }: { children: ReactNode; quiet?: boolean }) {
  const theme = useTheme();
  return (
    <Text style={{ color: quiet ? theme.quiet : theme.text, fontSize: sized(15), lineHeight: sized(21) }}>{children}</Text>
  );
}

const styles = StyleSheet.create({
  button: {
    minHeight: 48,
    borderRadius: 12,
    borderWidth: 1,
    paddingHorizontal: 16,
    paddingVertical: 12,
    flexDirection: "row",
    gap: 8,
    alignItems: "center",
    justifyContent: "center",
  },
  buttonText: { fontWeight: "600", textAlign: "center", flexShrink: 1 },
  iconButton: { width: 48, height: 48, borderRadius: 12, borderWidth: 1, alignItems: "center", justifyContent: "center" },
  tile: {
    flexGrow: 1,
    flexBasis: 96,
    minHeight: 104,
    borderRadius: 16,
    padding: 12,
    gap: 8,
    alignItems: "center",
    justifyContent: "center",
  },
  faint: { opacity: 0.6 },
  choice: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  option: { minHeight: 44, paddingHorizontal: 14, justifyContent: "center", borderRadius: 12, borderWidth: 1 },
  slider: { gap: 2 },
  // A position on a line is not text: never mirrored.
  slot: { height: 44, justifyContent: "center", direction: "ltr" },
  track: { height: 6, borderRadius: 3, overflow: "hidden" },
  filled: { height: 6 },
  thumb: { position: "absolute", width: THUMB, height: THUMB, borderRadius: THUMB / 2, pointerEvents: "none" },
  section: { borderRadius: 16, borderWidth: 1, padding: 16, gap: 12 },
  heading: { fontWeight: "700" },
  summary: { flexDirection: "row", justifyContent: "space-between", alignItems: "center", minHeight: 32 },
  notice: { borderRadius: 12, padding: 12 },
});
