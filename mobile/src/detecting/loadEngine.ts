/** The engine on a device: ONNX Runtime for React Native, in the app's own thread. */

import { type Engine, LocalEngine } from "@nanoray/web/engine";
import { fromOrt, type Session } from "@nanoray/web/detecting/runtime";
import { Asset } from "expo-asset";
import { File } from "expo-file-system";
import { InferenceSession, Tensor } from "onnxruntime-react-native";

import { decodeByPlatform } from "@/picking/decodeByPlatform";

import model from "../../assets/model/nanoray.onnx";

export async function loadEngine(): Promise<Engine> {
  return LocalEngine.load(await bytesOf(model), openSession, decodeByPlatform);
}

async function openSession(model: Uint8Array): Promise<Session> {
  const session = await InferenceSession.create(model, { executionProviders: ["cpu"] });
  return fromOrt(session, (data, dims) => new Tensor("float32", data, dims));
}

async function bytesOf(asset: number): Promise<Uint8Array> {
  const kept = await Asset.fromModule(asset).downloadAsync();
  return new File(kept.localUri ?? kept.uri).bytes();
}
