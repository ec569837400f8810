/** The contents of a picked file, on a device. */

import { File } from "expo-file-system";

export async function bytesOf(uri: string, _file?: Blob): Promise<Uint8Array> {
  return new File(uri).bytes();
}
