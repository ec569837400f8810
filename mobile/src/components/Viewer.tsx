/** A radiograph with zoom and window; on demand outlined where the evidence exceeds the threshold. */

import { outline, windowed } from "@nanoray/web/detecting/heatmap";
import type { Plane } from "@nanoray/web/reading/radiograph";
import type { GreyPicture } from "@nanoray/web/reading/resize";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { type LayoutChangeEvent, StyleSheet, Text, useWindowDimensions, View } from "react-native";
import { Gesture, GestureDetector } from "react-native-gesture-handler";

import { IconButton, Slider } from "@/components/controls";
import { Picture } from "@/components/Picture";
import { sized, useTheme } from "@/theme/theme";

const MAX_SCALE = 8;
/** Longer side in pixels of the picture that the outline is drawn in. */
const OUTLINE_SIDE = 768;
const LEVEL = { centre: 128, width: 256 };

interface View2d {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const WHOLE: View2d = { scale: 1, x: 0, y: 0 };

interface ViewerProps {
  readonly picture: GreyPicture;
  readonly heatmap: Plane;
  readonly threshold: number;
  /** Without a decision no area is shown. */
  readonly abstained: boolean;
}

export function Viewer({ picture, heatmap, threshold, abstained }: ViewerProps) {
  const { t } = useTranslation();
  const theme = useTheme();
  const screen = useWindowDimensions();
  const [room, setRoom] = useState(0);
  const [pinned, setPinned] = useState(false);
  const [held, setHeld] = useState(false);
  const [levelling, setLevelling] = useState(false);
  const [level, setLevel] = useState(LEVEL);
  const [view, setView] = useState(WHOLE);
  const [start, setStart] = useState(WHOLE);
  const [startLevel, setStartLevel] = useState(LEVEL);

  const across = room || screen.width - 24;
  const down = Math.max(260, screen.height * 0.68);
  const fit = Math.min(across / picture.columns, down / picture.rows);
  const [width, height] = [picture.columns * fit, picture.rows * fit];

  const shown = useMemo(() => windowed(picture, level.centre, level.width), [picture, level]);
  const places = useMemo(() => {
    if (abstained) return null;
    const scale = Math.min(1, OUTLINE_SIDE / Math.max(picture.rows, picture.columns));
    return outline(heatmap, threshold, Math.max(1, Math.round(picture.rows * scale)), Math.max(1, Math.round(picture.columns * scale)));
  }, [heatmap, picture, threshold, abstained]);

  const within = ({ scale, x, y }: View2d): View2d => {
    const limited = Math.min(MAX_SCALE, Math.max(1, scale));
    const [far, low] = [((limited - 1) * width) / 2, ((limited - 1) * height) / 2];
    return { scale: limited, x: Math.min(far, Math.max(-far, x)), y: Math.min(low, Math.max(-low, y)) };
  };
  const zoom = (factor: number) =>
    setView((now) => within({ scale: now.scale * factor, x: now.x * factor, y: now.y * factor }));

  const pinch = Gesture.Pinch()
    .runOnJS(true)
    .onStart(() => setStart(view))
    .onUpdate(({ scale }) => setView(within({ scale: start.scale * scale, x: start.x * scale, y: start.y * scale })));
  const pan = Gesture.Pan()
    .runOnJS(true)
    .maxPointers(1)
    .enabled(view.scale > 1)
    .onStart(() => setStart(view))
    .onUpdate(({ translationX, translationY }) =>
      setView(within({ scale: view.scale, x: start.x + translationX, y: start.y + translationY })),
    );
  // Two fingers moved together: across for the width of the window, down for its level.
  const windowing = Gesture.Pan()
    .runOnJS(true)
    .minPointers(2)
    .onStart(() => setStartLevel(level))
    .onUpdate(({ translationX, translationY }) =>
      setLevel({
        centre: Math.min(255, Math.max(0, startLevel.centre + translationY / 2)),
        width: Math.min(512, Math.max(16, startLevel.width + translationX)),
      }),
    );
  const doubleTap = Gesture.Tap()
    .runOnJS(true)
    .numberOfTaps(2)
    .onEnd(() => setView((now) => (now.scale > 1 ? WHOLE : within({ scale: 2.5, x: 0, y: 0 }))));
  const press = Gesture.LongPress()
    .runOnJS(true)
    .minDuration(250)
    .onStart(() => setHeld(true))
    .onFinalize(() => setHeld(false));

  const showing = places !== null && (pinned || held);
  let legend = t("result.mapHint");
  if (abstained) legend = t("result.mapAbstained");
  else if (!places) legend = t("result.mapEmpty");
  else if (showing) legend = t("result.mapLegend");
  return (
    <View style={styles.whole} onLayout={(event: LayoutChangeEvent) => setRoom(event.nativeEvent.layout.width)}>
      <GestureDetector
        gesture={Gesture.Race(doubleTap, press, Gesture.Simultaneous(pinch, windowing, pan))}
        touchAction={view.scale > 1 ? "none" : "pan-y"}
      >
        <View
          accessible
          accessibilityRole="image"
          accessibilityLabel={t("result.viewer")}
          testID="viewer"
          style={[styles.frame, { width, height }]}
        >
          <View
            testID="viewer-content"
            style={{
              width,
              height,
              transform: [{ translateX: view.x }, { translateY: view.y }, { scale: view.scale }],
            }}
          >
            <Picture picture={shown} width={width} height={height} />
            {showing ? <Picture picture={places} width={width} height={height} /> : null}
          </View>
        </View>
      </GestureDetector>
      <View style={styles.legend}>
        {showing ? <View style={styles.swatch} /> : null}
        <Text style={{ color: theme.quiet, fontSize: sized(13), flexShrink: 1 }}>{legend}</Text>
      </View>
      <View style={styles.buttons}>
        {places ? (
          <IconButton icon="map" label={t("result.map")} pressed={pinned} onPress={() => setPinned(!pinned)} />
        ) : null}
        <IconButton icon="zoomIn" label={t("result.zoomIn")} onPress={() => zoom(1.5)} />
        <IconButton icon="zoomOut" label={t("result.zoomOut")} onPress={() => zoom(1 / 1.5)} />
        <IconButton icon="contrast" label={t("result.window")} pressed={levelling} onPress={() => setLevelling(!levelling)} />
        <IconButton
          icon="frame"
          label={t("result.reset")}
          onPress={() => {
            setView(WHOLE);
            setLevel(LEVEL);
          }}
        />
      </View>
      {levelling ? (
        <>
          <Slider
            label={t("result.level")}
            value={Math.round(level.centre)}
            low={0}
            high={255}
            step={8}
            onChange={(centre) => setLevel({ ...level, centre })}
          />
          <Slider
            label={t("result.width")}
            value={Math.round(level.width)}
            low={16}
            high={512}
            step={16}
            onChange={(wanted) => setLevel({ ...level, width: wanted })}
          />
        </>
      ) : null}
    </View>
  );
}

const styles = StyleSheet.create({
  whole: { gap: 10, width: "100%" },
  frame: { overflow: "hidden", backgroundColor: "#000", alignSelf: "center", borderRadius: 8 },
  legend: { flexDirection: "row", gap: 8, alignItems: "center", justifyContent: "center", minHeight: 20 },
  swatch: { width: 16, height: 16, borderRadius: 4, borderWidth: 2, borderColor: "#ffc400", backgroundColor: "#ffc40029" },
  buttons: { flexDirection: "row", flexWrap: "wrap", gap: 8, justifyContent: "center" },
});
