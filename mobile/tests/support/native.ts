/** Native parts that Jest does not have. */

import "react-native-gesture-handler/jestSetup";

jest.mock("onnxruntime-react-native", () => ({ InferenceSession: {}, Tensor: class {} }));

jest.mock("expo-localization", () => ({ getLocales: () => [{ languageCode: "en" }] }));

jest.mock("expo-sqlite/kv-store", () => {
  const kept = new Map<string, string>();
  return {
    __esModule: true,
    default: {
      getItemSync: (key: string) => kept.get(key) ?? null,
      setItemSync: (key: string, value: string) => kept.set(key, value),
    },
  };
});

// The history, in memory.
jest.mock("@/history/store", () => {
  const { MemoryHistory } = jest.requireActual<typeof import("@/history/memory")>("@/history/memory");
  const { observed } = jest.requireActual<typeof import("@/history/changes")>("@/history/changes");
  return { history: observed(new MemoryHistory()) };
});
