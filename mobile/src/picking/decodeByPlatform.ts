/** Pictures that the device's own decoder reads: it saves them as JPEG, upright. */

import { decodeJpeg } from "@nanoray/web/reading/codecs";
import type { RgbaPicture } from "@nanoray/web/reading/platform";
import { ImageManipulator, SaveFormat } from "expo-image-manipulator";
import { File, Paths } from "expo-file-system";

export async function decodeByPlatform(bytes: Uint8Array, format: string): Promise<RgbaPicture | null> {
  const given = new File(Paths.cache, `decode-${Date.now()}.${format.toLowerCase()}`);
  let saved: File | null = null;
  try {
    given.write(bytes);
    const image = await ImageManipulator.manipulate(given.uri).renderAsync();
    saved = new File((await image.saveAsync({ format: SaveFormat.JPEG, compress: 0.98 })).uri);
    const { data, rows, columns, samples } = await decodeJpeg(await saved.bytes());
    const rgba = new Uint8Array(4 * rows * columns).fill(255);
    for (let i = 0; i < rows * columns; i++) {
      for (let channel = 0; channel < 3; channel++) {
        rgba[4 * i + channel] = data[i * samples + (samples === 3 ? channel : 0)]!;
      }
    }
    return { data: rgba, rows, columns };
  } catch {
    // The device has no decoder for it.
    return null;
  } finally {
    if (given.exists) given.delete();
    if (saved?.exists) saved.delete();
  }
}
