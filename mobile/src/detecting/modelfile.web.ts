/** The packaged model file in a browser: one of this site's files. */

import { Asset } from "expo-asset";

import model from "../../assets/model/nanoray.onnx";

/** The bytes of the packaged model. */
export async function packagedModel(): Promise<Uint8Array> {
  const response = await fetch(Asset.fromModule(model).uri);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
