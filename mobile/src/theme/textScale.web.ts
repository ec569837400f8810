/** How much larger than usual the user wants text: by the browser's size of plain text. */

const USUAL = 16;
let scale: number | undefined;

export function textScale(): number {
  if (scale === undefined && typeof document !== "undefined") {
    scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL || 1;
  }
  return scale ?? 1;
}
