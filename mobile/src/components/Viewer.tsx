/** A radiograph under its heat map: pinch and drag, or buttons, to look closer. */

import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { StyleSheet, useWindowDimensions, View } from "react-native";
import { Gesture, GestureDetector } from "react-native-gesture-handler";

import { Adjuster, Button } from "@/components/controls";
import { Picture } from "@/components/Picture";
import { layer, windowed } from "@/detecting/heatmap";
import type { Plane } from "@/reading/radiograph";
import type { GreyPicture } from "@/reading/resize";

const MAX_SCALE = 8;

interface View2d {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const WHOLE: View2d = { scale: 1, x: 0, y: 0 };

export function Viewer({ picture, heatmap }: { picture: GreyPicture; heatmap: Plane }) {
  const { t } = useTranslation();
  const screen = useWindowDimensions();
  const [opacity, setOpacity] = useState(60);
  const [centre, setCentre] = useState(128);
  const [contrast, setContrast] = useState(256);
  const [view, setView] = useState(WHOLE);
  const [start, setStart] = useState(WHOLE);

  const side = Math.min(screen.width - 24, 640, Math.max(240, screen.height * 0.62));
  const fit = side / Math.max(picture.rows, picture.columns);
  const [width, height] = [picture.columns * fit, picture.rows * fit];

  const shown = useMemo(() => windowed(picture, centre, contrast), [picture, centre, contrast]);
  const overlay = useMemo(() => layer(heatmap, picture.rows, picture.columns), [heatmap, picture]);

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
    .enabled(view.scale > 1)
    .onStart(() => setStart(view))
    .onUpdate(({ translationX, translationY }) =>
      setView(within({ scale: view.scale, x: start.x + translationX, y: start.y + translationY })),
    );
  const doubleTap = Gesture.Tap()
    .runOnJS(true)
    .numberOfTaps(2)
    .onEnd(() => setView((now) => (now.scale > 1 ? WHOLE : within({ scale: 2.5, x: 0, y: 0 }))));

  const adjusters = [
    { label: t("result.opacity"), value: opacity, low: 0, high: 100, step: 10, onChange: setOpacity },
    { label: t("result.level"), value: centre, low: 0, high: 255, step: 15, onChange: setCentre },
    { label: t("result.width"), value: contrast, low: 16, high: 496, step: 24, onChange: setContrast },
  ];
  return (
    <View style={styles.whole}>
      <GestureDetector gesture={Gesture.Race(doubleTap, Gesture.Simultaneous(pinch, pan))} touchAction={view.scale > 1 ? "none" : "pan-y"}>
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
            <Picture picture={overlay} width={width} height={height} opacity={opacity / 100} />
          </View>
        </View>
      </GestureDetector>
      <View style={styles.buttons}>
        <Button label={t("result.zoomIn")} onPress={() => zoom(1.5)} style={styles.grow} />
        <Button label={t("result.zoomOut")} onPress={() => zoom(1 / 1.5)} style={styles.grow} />
        <Button
          label={t("result.reset")}
          onPress={() => {
            setView(WHOLE);
            setCentre(128);
            setContrast(256);
            setOpacity(60);
          }}
          style={styles.grow}
        />
      </View>
      {adjusters.map((adjuster) => (
        <Adjuster
          key={adjuster.label}
          {...adjuster}
          less={t("result.less", { name: adjuster.label })}
          more={t("result.more", { name: adjuster.label })}
        />
      ))}
    </View>
  );
}

const styles = StyleSheet.create({
  whole: { gap: 10 },
  frame: { overflow: "hidden", backgroundColor: "#000", alignSelf: "center", borderRadius: 6 },
  buttons: { flexDirection: "row", flexWrap: "wrap", gap: 8 },
  grow: { flexGrow: 1 },
});
