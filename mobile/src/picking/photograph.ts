/** A photograph's pixels on a device: shrunk by the system, then decoded. */

import { ImageManipulator, SaveFormat } from "expo-image-manipulator";
import { File } from "expo-file-system";
import { decode } from "jpeg-js";

import { LONGER_SIDE, type RgbaPicture } from "./rgba";

export async function loadPhotograph(uri: string): Promise<RgbaPicture> {
  const whole = await ImageManipulator.manipulate(uri).renderAsync();
  const resize = whole.width >= whole.height ? { width: LONGER_SIDE } : { height: LONGER_SIDE };
  const needed = Math.max(whole.width, whole.height) > LONGER_SIDE;
  const small = needed ? await ImageManipulator.manipulate(whole).resize(resize).renderAsync() : whole;
  const saved = await small.saveAsync({ format: SaveFormat.JPEG, compress: 0.95 });
  const file = new File(saved.uri);
  try {
    const image = decode(await file.bytes(), { useTArray: true });
    return { data: image.data, rows: image.height, columns: image.width };
  } finally {
    file.delete();
  }
}
