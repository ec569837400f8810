/** Colours for light and dark surroundings; text on its ground has a contrast of at least 4.5. */

import { useColorScheme } from "react-native";

export interface Theme {
  readonly dark: boolean;
  readonly ground: string;
  readonly raised: string;
  readonly line: string;
  readonly text: string;
  readonly quiet: string;
  readonly accent: string;
  readonly onAccent: string;
  readonly suspected: string;
  readonly clear: string;
  readonly notice: string;
  readonly onNotice: string;
}

const LIGHT: Theme = {
  dark: false,
  ground: "#f6f7f9",
  raised: "#ffffff",
  line: "#d5dae1",
  text: "#14181f",
  quiet: "#4e5868",
  accent: "#0b5cad",
  onAccent: "#ffffff",
  suspected: "#a3330b",
  clear: "#17663a",
  notice: "#fff3d6",
  onNotice: "#5c4000",
};

const DARK: Theme = {
  dark: true,
  ground: "#0e1116",
  raised: "#191e26",
  line: "#343c49",
  text: "#eef1f5",
  quiet: "#a9b3c2",
  accent: "#7ab8ff",
  onAccent: "#06213f",
  suspected: "#ff9d73",
  clear: "#7fd6a3",
  notice: "#3a2e10",
  onNotice: "#ffdf9a",
};

/** The theme of the device's colour scheme. */
export function useTheme(): Theme {
  return useColorScheme() === "dark" ? DARK : LIGHT;
}
