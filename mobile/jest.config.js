// Two kinds of tests: of the pure TypeScript, in Node; of components, as on a device.
const untranspiled = "node_modules/(?!(fast-png|iobuffer|jpeg-lossless-decoder-js)/)";
const alias = { "^@/(.*)$": "<rootDir>/src/$1" };

/** @type {import("jest").Config} */
module.exports = {
  projects: [
    {
      displayName: "pure",
      testMatch: ["<rootDir>/tests/pure/**/*.test.ts"],
      testEnvironment: "<rootDir>/tests/support/OrtEnvironment.cjs",
      transform: { "\\.[jt]sx?$": ["babel-jest", { caller: { name: "metro", bundler: "metro", platform: "android" } }] },
      transformIgnorePatterns: [untranspiled],
      moduleNameMapper: alias,
    },
    {
      displayName: "components",
      preset: "jest-expo",
      testMatch: ["<rootDir>/tests/components/**/*.test.tsx"],
      moduleNameMapper: { ...alias, "\\.onnx$": "<rootDir>/tests/support/asset.js" },
      setupFiles: ["<rootDir>/tests/support/native.ts"],
      setupFilesAfterEnv: [],
    },
  ],
};
