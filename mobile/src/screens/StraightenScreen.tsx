/** Straightening a photograph of a film or screen by dragging its corners. */

import { useRouter } from "expo-router";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { StyleSheet, useWindowDimensions, View } from "react-native";
import { Gesture, GestureDetector } from "react-native-gesture-handler";

import { Body, Button } from "@/components/controls";
import { Picture } from "@/components/Picture";
import { Screen } from "@/components/Screen";
import type { ColourPicture } from "@/detecting/heatmap";
import { type Corners, isConvex, type Point, quarterTurn, radiographFrom } from "@/straightening/perspective";
import { useTheme } from "@/theme/theme";

import { useWorkbench } from "./Workbench";

const HANDLE = 44;

function wholeOf({ rows, columns }: { rows: number; columns: number }): Corners {
  const [x, y] = [columns * 0.06, rows * 0.06];
  return [
    { x, y },
    { x: columns - x, y },
    { x: columns - x, y: rows - y },
    { x, y: rows - y },
  ];
}

export function StraightenScreen() {
  const { t } = useTranslation();
  const router = useRouter();
  const screen = useWindowDimensions();
  const { photograph, setPhotograph, judgeRadiograph } = useWorkbench();
  const [corners, setCorners] = useState<Corners | null>(null);
  const [inverted, setInverted] = useState(false);
  const [busy, setBusy] = useState(false);

  const shown = useMemo<ColourPicture | null>(() => {
    if (!photograph) return null;
    const data = Uint8ClampedArray.from(photograph.data);
    if (inverted) for (let i = 0; i < data.length; i++) if (i % 4 !== 3) data[i] = 255 - data[i]!;
    return { data, rows: photograph.rows, columns: photograph.columns };
  }, [photograph, inverted]);

  if (!photograph || !shown) {
    return (
      <Screen>
        <Button label={t("nav.home")} onPress={() => router.replace("/")} />
      </Screen>
    );
  }
  const current = corners ?? wholeOf(photograph);
  const side = Math.min(screen.width - 24, 640);
  const fit = Math.min(side / photograph.columns, Math.max(240, screen.height * 0.6) / photograph.rows);
  const [width, height] = [photograph.columns * fit, photograph.rows * fit];

  const move = (index: number, to: Point) => {
    const limited = {
      x: Math.min(photograph.columns, Math.max(0, to.x)),
      y: Math.min(photograph.rows, Math.max(0, to.y)),
    };
    const moved = current.map((corner, i) => (i === index ? limited : corner)) as unknown as Corners;
    if (isConvex(moved)) setCorners(moved);
  };
  const use = async () => {
    setBusy(true);
    const radiograph = radiographFrom(photograph, current, inverted);
    const record = await judgeRadiograph(photograph.name, radiograph);
    setBusy(false);
    setPhotograph(null);
    router.replace(record ? { pathname: "/result/[id]", params: { id: record.id } } : "/");
  };
  const names = t("straighten.corners", { returnObjects: true }) as string[];
  return (
    <Screen>
      <Body>{t("straighten.instructions")}</Body>
      <View
        accessibilityLabel={t("straighten.photo")}
        style={[styles.frame, { width, height }]}
        testID="photograph"
      >
        <Picture picture={shown} width={width} height={height} />
        {current.map((corner, i) => (
          <Edge key={`edge-${i}`} from={corner} to={current[(i + 1) % 4]!} fit={fit} />
        ))}
        {current.map((corner, i) => (
          <Handle
            key={i}
            label={names[i] ?? ""}
            hint={t("straighten.cornerHint")}
            at={{ x: corner.x * fit, y: corner.y * fit }}
            onMove={({ x, y }) => move(i, { x: x / fit, y: y / fit })}
          />
        ))}
      </View>
      <Button label={t("straighten.use")} kind="main" disabled={busy} onPress={() => void use()} />
      <View style={styles.row}>
        <Button
          label={t("straighten.rotate")}
          style={styles.grow}
          onPress={() => {
            setPhotograph(quarterTurn(photograph));
            setCorners(null);
          }}
        />
        <Button label={t("straighten.invert")} style={styles.grow} onPress={() => setInverted(!inverted)} />
        <Button
          label={t("straighten.reset")}
          style={styles.grow}
          onPress={() => {
            const { rows, columns } = photograph;
            setCorners([
              { x: 0, y: 0 },
              { x: columns, y: 0 },
              { x: columns, y: rows },
              { x: 0, y: rows },
            ]);
          }}
        />
      </View>
    </Screen>
  );
}

interface HandleProps {
  readonly label: string;
  readonly hint: string;
  readonly at: Point;
  readonly onMove: (to: Point) => void;
}

const KEYS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -4, y: 0 },
  ArrowRight: { x: 4, y: 0 },
  ArrowUp: { x: 0, y: -4 },
  ArrowDown: { x: 0, y: 4 },
};

function Handle({ label, hint, at, onMove }: HandleProps) {
  const theme = useTheme();
  const [start, setStart] = useState(at);
  const drag = Gesture.Pan()
    .runOnJS(true)
    .minDistance(0)
    .onBegin(() => setStart(at))
    .onUpdate(({ translationX, translationY }) => onMove({ x: start.x + translationX, y: start.y + translationY }));
  const keys = {
    onKeyDown: (event: { key: string; preventDefault?: () => void }) => {
      const by = KEYS[event.key];
      if (!by) return;
      event.preventDefault?.();
      onMove({ x: at.x + by.x, y: at.y + by.y });
    },
  };
  return (
    <GestureDetector gesture={drag} touchAction="none">
      <View
        accessible
        focusable
        tabIndex={0}
        accessibilityRole="button"
        accessibilityLabel={label}
        accessibilityHint={hint}
        style={[styles.handle, { left: at.x - HANDLE / 2, top: at.y - HANDLE / 2 }]}
        {...keys}
      >
        <View style={[styles.dot, { backgroundColor: theme.accent }]} />
      </View>
    </GestureDetector>
  );
}

/** A line between two corners. */
function Edge({ from, to, fit }: { from: Point; to: Point; fit: number }) {
  const [dx, dy] = [(to.x - from.x) * fit, (to.y - from.y) * fit];
  const length = Math.hypot(dx, dy);
  const middle = { x: ((from.x + to.x) / 2) * fit, y: ((from.y + to.y) / 2) * fit };
  return (
    <View
      style={[
        styles.edge,
        {
          width: length,
          left: middle.x - length / 2,
          top: middle.y - 1,
          transform: [{ rotate: `${Math.atan2(dy, dx)}rad` }],
        },
      ]}
    />
  );
}

const styles = StyleSheet.create({
  // Corners are places in a picture, not in a text: never mirrored.
  frame: { alignSelf: "center", direction: "ltr" },
  handle: { position: "absolute", width: HANDLE, height: HANDLE, alignItems: "center", justifyContent: "center" },
  dot: { width: 22, height: 22, borderRadius: 11, borderWidth: 3, borderColor: "#fff" },
  edge: { position: "absolute", height: 2, backgroundColor: "#ffd54a", pointerEvents: "none" },
  row: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  grow: { flexGrow: 1 },
});
