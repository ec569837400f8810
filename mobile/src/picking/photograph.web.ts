/** A photograph's pixels in a browser, which turns it by its EXIF orientation. */

import { LONGER_SIDE, type RgbaPicture } from "./rgba";

export async function loadPhotograph(uri: string): Promise<RgbaPicture> {
  const bitmap = await createImageBitmap(await (await fetch(uri)).blob());
  const scale = Math.min(1, LONGER_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { data, rows: canvas.height, columns: canvas.width };
}
