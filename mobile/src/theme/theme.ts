/** Colours for light and dark surroundings; text on its ground has a contrast of at least 4.5. */

import { useColorScheme, useWindowDimensions } from "react-native";

import { textScale } from "./textScale";

export interface Theme {
  readonly dark: boolean;
  readonly ground: string;
  readonly raised: string;
  readonly line: string;
  readonly text: string;
  readonly quiet: string;
  readonly accent: string;
  readonly onAccent: string;
  /** A pale ground for what belongs to the accent. */
  readonly tint: string;
  readonly suspected: string;
  readonly suspectedTint: string;
  readonly clear: string;
  readonly clearTint: string;
  readonly notice: string;
  readonly onNotice: string;
}

const LIGHT: Theme = {
  dark: false,
  ground: "#f4f6f9",
  raised: "#ffffff",
  line: "#d5dae1",
  text: "#14181f",
  quiet: "#4e5868",
  accent: "#0b5cad",
  onAccent: "#ffffff",
  tint: "#e3eefa",
  suspected: "#a3330b",
  suspectedTint: "#fdeae2",
  clear: "#17663a",
  clearTint: "#e2f3e8",
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
  tint: "#17293d",
  suspected: "#ff9d73",
  suspectedTint: "#3a2118",
  clear: "#7fd6a3",
  clearTint: "#16301f",
  notice: "#3a2e10",
  onNotice: "#ffdf9a",
};

/** The theme of the device's colour scheme. */
export function useTheme(): Theme {
  return useColorScheme() === "dark" ? DARK : LIGHT;
}

/** A size of text by the user's setting: React Native scales text itself, browsers by the page's root. */
export const sized = (size: number): number => size * textScale();

/** Whether picture and words stand side by side: on tablets, on desks, and on phones held across. */
export function useWide(): boolean {
  const { width } = useWindowDimensions();
  return width >= 700;
}
