/** The packaged model file on a device: an asset of the app. */

import { Asset } from "expo-asset";
import { File } from "expo-file-system";

import model from "../../assets/model/nanoray.onnx";

/** The bytes of the packaged model. */
export async function packagedModel(): Promise<Uint8Array> {
  const asset = await Asset.fromModule(model).downloadAsync();
  return new File(asset.localUri ?? asset.uri).bytes();
}
