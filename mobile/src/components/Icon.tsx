/** Icons, drawn as lines on a grid of 24. */

import Svg, { Path } from "react-native-svg";

const PATHS = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4z M12 17a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  gallery: "M4 5h16v14H4z M4 16l5-5 4 4 3-3 4 4 M15 9.5h.01",
  files: "M6 3h8l4 4v14H6z M14 3v4h4 M9 12h6 M9 16h6",
  history: "M4 12a8 8 0 1 0 2.5-5.8 M4 4v4h4 M12 8v4l3 2",
  about: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 11v5 M12 8h.01",
  back: "M15 5l-7 7 7 7",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  share: "M12 15V4 M8 7.5L12 4l4 3.5 M6 11H5v9h14v-9h-1",
  trash: "M5 7h14 M9 7V4h6v3 M7 7l1 13h8l1-13",
  turn: "M19 12a7 7 0 1 1-2.2-5.1 M19 3v4.5h-4.5",
  invert: "M12 20a8 8 0 1 0 0-16z M12 4a8 8 0 0 0 0 16",
  frame: "M4 8V4h4 M16 4h4v4 M20 16v4h-4 M8 20H4v-4",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14z M20 20l-4-4",
  map: "M12 21c-4-4-7-7-7-11a7 7 0 0 1 14 0c0 4-3 7-7 11z M12 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z",
  zoomIn: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14z M20 20l-4-4 M11 8v6 M8 11h6",
  zoomOut: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14z M20 20l-4-4 M8 11h6",
  contrast: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z M12 4v16 M12 8h5.5 M12 12h8 M12 16h5.5",
  warning: "M12 4l9 16H3z M12 10v4 M12 17h.01",
  check: "M5 13l4 4L19 7",
  close: "M6 6l12 12 M18 6L6 18",
} as const;

export type IconName = keyof typeof PATHS;

/** An icon that screen readers skip: its control has a name. */
export function Icon({ name, colour, size = 24 }: { name: IconName; colour: string; size?: number }) {
  return (
    <Svg width={size} height={size} viewBox="0 0 24 24" accessible={false} aria-hidden importantForAccessibility="no">
      <Path d={PATHS[name]} stroke={colour} strokeWidth={1.8} strokeLinecap="round" strokeLinejoin="round" fill="none" />
    </Svg>
  );
}
