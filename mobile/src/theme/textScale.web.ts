/** The user's text scale, from the browser's default font size. */

const USUAL = 16;
let scale: number | undefined;

export function textScale(): number {
  if (scale === undefined && typeof document !== "undefined") {
    scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL || 1;
  }
  return scale ?? 1;
}
