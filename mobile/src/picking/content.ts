/** The contents of a picked file, on a device. */

import { File } from "expo-file-system";

export function contentOf(uri: string, _file?: Blob): Promise<Blob | Uint8Array> {
  return new File(uri).bytes();
}
