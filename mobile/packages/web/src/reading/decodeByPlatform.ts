/** Decoding by the browser, in a worker. */

import { MAX_PIXELS } from "./limits";
import type { PlatformFormat } from "./radiograph";
import type { RgbaPicture } from "./platform";
import { Refusal } from "./refusals";

const TYPES: Readonly<Record<PlatformFormat, string>> = {
  HEIC: "image/heic",
  WebP: "image/webp",
  AVIF: "image/avif",
};

export async function decodeByPlatform(file: Uint8Array, format: PlatformFormat): Promise<RgbaPicture | null> {
  if (typeof createImageBitmap !== "function" || typeof OffscreenCanvas !== "function") return null;
  let bitmap: ImageBitmap;
  try {
    // The browser turns the picture by its EXIF orientation.
    bitmap = await createImageBitmap(new Blob([Uint8Array.from(file)], { type: TYPES[format] }));
  } catch {
    return null;
  }
  try {
    const { width: columns, height: rows } = bitmap;
    if (rows * columns > MAX_PIXELS) throw new Refusal("too-many-pixels");
    const context = new OffscreenCanvas(columns, rows).getContext("2d", { willReadFrequently: true });
    if (!context) return null;
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, columns, rows).data, rows, columns };
  } finally {
    bitmap.close();
  }
}
