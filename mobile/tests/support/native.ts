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
  const kept = new Map<string, { id: string; name: string }>();
  return {
    history: {
      put: (record: { id: string; name: string }) => Promise.resolve(void kept.set(record.id, record)),
      get: (id: string) => Promise.resolve(kept.get(id) ?? null),
      search: (query: string) =>
        Promise.resolve([...kept.values()].filter(({ name }) => name.includes(query)).reverse()),
      remove: (id: string) => Promise.resolve(void kept.delete(id)),
      clear: () => Promise.resolve(kept.clear()),
    },
  };
});
