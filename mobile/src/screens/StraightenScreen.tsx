/** Straightening a photograph: the corners are found, and can be dragged under a loupe. */

import type { ColourPicture } from "@nanoray/web/detecting/heatmap";
import { type Corners, isConvex, type Point, wholeOf } from "@nanoray/web/straightening/perspective";
import { quarterTurn } from "@nanoray/web/straightening/photograph";
import type { Fault } from "@nanoray/web/straightening/quality";
import { useRouter } from "expo-router";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { ActivityIndicator, StyleSheet, Text, useWindowDimensions, View } from "react-native";
import { Gesture, GestureDetector } from "react-native-gesture-handler";
import Svg, { Line, Polygon } from "react-native-svg";

import { Body, Button, IconButton } from "@/components/controls";
import { Icon } from "@/components/Icon";
import { Picture } from "@/components/Picture";
import { Screen } from "@/components/Screen";
import { useEngine } from "@/detecting/EngineContext";
import { sized, useTheme } from "@/theme/theme";

import { useWorkbench, type WaitingPhotograph } from "./Workbench";

const HANDLE = 48;
const LOUPE = 120;
const MAGNIFIED = 3;
/** Landscape windows lower than this (points) have the controls beside the photograph: phones lie below 450. */
const LOW = 500;
/** Height of the header, the notice and the margins above and below the photograph, points. */
const AROUND = 144;

/** Corners to begin with where none are found: a little within the picture, so that they can be grasped. */
function insideOf({ rows, columns }: { rows: number; columns: number }): Corners {
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
  const { photograph: waiting } = useWorkbench();
  if (waiting) return <Straightener waiting={waiting} />;
  return (
    <Screen title={t("nav.straighten")}>
      <Body>{t("straighten.none")}</Body>
      <Button label={t("nav.home")} icon="home" kind="main" onPress={() => router.dismissTo("/")} />
    </Screen>
  );
}

function Straightener({ waiting }: { waiting: WaitingPhotograph }) {
  const { t } = useTranslation();
  const router = useRouter();
  const screen = useWindowDimensions();
  const { engine } = useEngine();
  const { setPhotograph, judgePhotograph } = useWorkbench();
  const { photograph } = waiting;
  const [corners, setCorners] = useState<Corners>(() => waiting.corners ?? insideOf(photograph));
  const [found, setFound] = useState(waiting.corners !== null);
  const [inverted, setInverted] = useState(false);
  const [busy, setBusy] = useState(false);
  const [held, setHeld] = useState<number | null>(null);
  const [faults, setFaults] = useState<readonly Fault[] | null>(null);

  const shown = useMemo<ColourPicture>(() => {
    const data = Uint8ClampedArray.from(photograph.data);
    if (inverted) for (let i = 0; i < data.length; i++) if (i % 4 !== 3) data[i] = 255 - data[i]!;
    return { data, rows: photograph.rows, columns: photograph.columns };
  }, [photograph, inverted]);

  useEffect(() => {
    // Once the finger rests: the check looks at the whole straightened picture.
    if (held !== null || !engine) return;
    let current = true;
    const timer = setTimeout(() => {
      engine
        .checkQuality(photograph, corners)
        .then((quality) => current && setFaults(quality.faults))
        .catch(() => undefined);
    }, 150);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [engine, photograph, corners, held]);

  const beside = screen.width > screen.height && screen.height < LOW;
  const side = beside ? screen.width * 0.55 : Math.min(screen.width - 24, 720);
  // All four corners are in view at once.
  const tall = beside ? Math.max(160, screen.height - AROUND) : Math.max(240, screen.height * 0.56);
  const fit = Math.min(side / photograph.columns, tall / photograph.rows);
  const [width, height] = [photograph.columns * fit, photograph.rows * fit];

  const move = (index: number, to: Point) => {
    const limited = {
      x: Math.min(photograph.columns, Math.max(0, to.x)),
      y: Math.min(photograph.rows, Math.max(0, to.y)),
    };
    const moved = corners.map((corner, i) => (i === index ? limited : corner)) as unknown as Corners;
    if (isConvex(moved)) setCorners(moved);
  };
  const turn = async () => {
    const turned = quarterTurn(photograph);
    const again = (await engine?.findCorners(turned).catch(() => null)) ?? null;
    setPhotograph({ ...waiting, photograph: turned, corners: again });
    setCorners(again ?? insideOf(turned));
    setFound(again !== null);
  };
  const use = async () => {
    setBusy(true);
    const record = await judgePhotograph(waiting, corners, inverted);
    setBusy(false);
    if (record && record !== "photograph") router.replace({ pathname: "/result/[id]", params: { id: record.id } });
    else router.replace("/");
    setPhotograph(null);
  };
  const names = t("straighten.corners", { returnObjects: true }) as string[];
  const outline = corners.map(({ x, y }) => `${x * fit},${y * fit}`).join(" ");
  const words = <Body>{t(found ? "straighten.found" : "straighten.notFound")}</Body>;
  const picture = (
    <View accessibilityLabel={t("straighten.photo")} style={[styles.frame, { width, height }]} testID="photograph">
      <Picture picture={shown} width={width} height={height} />
      <Svg width={width} height={height} style={styles.lines} accessible={false} aria-hidden>
        <Polygon points={outline} fill="#ffd54a22" stroke="#ffd54a" strokeWidth={2} />
      </Svg>
      {corners.map((corner, i) => (
        <Handle
          key={i}
          label={names[i] ?? ""}
          hint={t("straighten.cornerHint")}
          at={{ x: corner.x * fit, y: corner.y * fit }}
          onHold={(holding) => setHeld(holding ? i : null)}
          onMove={({ x, y }) => move(i, { x: x / fit, y: y / fit })}
        />
      ))}
      {held !== null ? <Loupe picture={shown} corner={corners[held]!} fit={fit} right={corners[held]!.x * fit < width / 2} width={width} /> : null}
    </View>
  );
  const controls = (
    <>
      <Faults faults={faults} />
      <View style={styles.row}>
        <IconButton icon="turn" label={t("straighten.rotate")} onPress={() => void turn()} />
        <IconButton icon="invert" label={t("straighten.invert")} pressed={inverted} onPress={() => setInverted(!inverted)} />
        <IconButton icon="frame" label={t("straighten.reset")} onPress={() => setCorners(wholeOf(photograph))} />
      </View>
    </>
  );
  const accept = (
    <>
      {busy ? <ActivityIndicator /> : null}
      <Button
        label={t("straighten.use")}
        icon="check"
        kind="main"
        disabled={busy}
        style={{ minWidth: beside ? 0 : 240 }}
        onPress={() => void use()}
      />
    </>
  );
  if (beside) {
    return (
      <Screen title={t("nav.straighten")} wide>
        <View style={styles.beside}>
          {picture}
          <View style={styles.side}>
            {words}
            {controls}
            {accept}
          </View>
        </View>
      </Screen>
    );
  }
  return (
    <Screen title={t("nav.straighten")} foot={accept}>
      {words}
      {picture}
      {controls}
    </Screen>
  );
}

/** The result of the quality check; empty until it has run. */
function Faults({ faults }: { faults: readonly Fault[] | null }) {
  const { t } = useTranslation();
  const theme = useTheme();
  if (!faults) return <View style={styles.quality} />;
  const good = faults.length === 0;
  return (
    <View style={styles.quality} aria-live="polite" testID="quality">
      {(good ? ["good"] : faults).map((fault) => (
        <View key={fault} style={styles.fault}>
          <Icon name={good ? "check" : "warning"} colour={good ? theme.clear : theme.suspected} size={20} />
          <Text style={{ color: theme.text, fontSize: sized(14), flexShrink: 1 }}>{t(`quality.${fault}`)}</Text>
        </View>
      ))}
    </View>
  );
}

interface LoupeProps {
  readonly picture: ColourPicture;
  readonly corner: Point;
  readonly fit: number;
  readonly right: boolean;
  readonly width: number;
}

/** A loupe: the area under the finger, magnified, on the other side of the picture. */
function Loupe({ picture, corner, fit, right, width }: LoupeProps) {
  const scale = fit * MAGNIFIED;
  return (
    <View style={[styles.loupe, { left: right ? width - LOUPE : 0 }]}>
      <View style={{ transform: [{ translateX: LOUPE / 2 - corner.x * scale }, { translateY: LOUPE / 2 - corner.y * scale }] }}>
        <Picture picture={picture} width={picture.columns * scale} height={picture.rows * scale} />
      </View>
      <Svg width={LOUPE} height={LOUPE} style={styles.lines}>
        <Line x1={LOUPE / 2} y1={LOUPE / 2 - 14} x2={LOUPE / 2} y2={LOUPE / 2 + 14} stroke="#ffd54a" strokeWidth={2} />
        <Line x1={LOUPE / 2 - 14} y1={LOUPE / 2} x2={LOUPE / 2 + 14} y2={LOUPE / 2} stroke="#ffd54a" strokeWidth={2} />
      </Svg>
    </View>
  );
}

interface HandleProps {
  readonly label: string;
  readonly hint: string;
  readonly at: Point;
  readonly onMove: (to: Point) => void;
  readonly onHold: (holding: boolean) => void;
}

const KEYS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -4, y: 0 },
  ArrowRight: { x: 4, y: 0 },
  ArrowUp: { x: 0, y: -4 },
  ArrowDown: { x: 0, y: 4 },
};

function Handle({ label, hint, at, onMove, onHold }: HandleProps) {
  const theme = useTheme();
  const [start, setStart] = useState(at);
  const drag = Gesture.Pan()
    .runOnJS(true)
    .minDistance(0)
    .onBegin(() => {
      setStart(at);
      onHold(true);
    })
    .onUpdate(({ translationX, translationY }) => onMove({ x: start.x + translationX, y: start.y + translationY }))
    .onFinalize(() => onHold(false));
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
        <View style={[styles.dot, { borderColor: theme.accent }]} />
      </View>
    </GestureDetector>
  );
}

const styles = StyleSheet.create({
  // Corners are places in a picture, not in a text: never mirrored.
  frame: { alignSelf: "center", direction: "ltr" },
  lines: { position: "absolute", left: 0, top: 0, pointerEvents: "none" },
  handle: { position: "absolute", width: HANDLE, height: HANDLE, alignItems: "center", justifyContent: "center" },
  dot: { width: 24, height: 24, borderRadius: 12, borderWidth: 4, backgroundColor: "#ffffff66" },
  loupe: {
    position: "absolute",
    top: 0,
    width: LOUPE,
    height: LOUPE,
    borderRadius: LOUPE / 2,
    borderWidth: 3,
    borderColor: "#ffffff",
    overflow: "hidden",
    backgroundColor: "#000",
    pointerEvents: "none",
  },
  beside: { flexDirection: "row", gap: 24, justifyContent: "center" },
  side: { flex: 1, maxWidth: 380, gap: 12 },
  quality: { minHeight: 24, gap: 4 },
  fault: { flexDirection: "row", gap: 8, alignItems: "center" },
  row: { flexDirection: "row", flexWrap: "wrap", gap: 8, justifyContent: "center" },
});
