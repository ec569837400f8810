/** ONNX Runtime for React Native: the same model file as Python's, on the phone's processor. */

import { InferenceSession, Tensor } from "onnxruntime-react-native";

import { fromOrt, type Session } from "./runtime";

/** Open a model file. */
export async function openSession(model: Uint8Array): Promise<Session> {
  const session = await InferenceSession.create(model, { executionProviders: ["cpu"] });
  return fromOrt(session, (data, dims) => new Tensor("float32", data, dims));
}
