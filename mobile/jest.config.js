// Two kinds of tests: of the pure TypeScript, in Node; of components, as on a device.
const modules = "fast-png|iobuffer|jpeg-lossless-decoder-js";
const preset = require("jest-expo/jest-preset");
const alias = { "^@/(.*)$": "<rootDir>/src/$1", "^@nanoray/web/(.*)\\.json$": "<rootDir>/packages/web/src/$1.json", "^@nanoray/web/(.*)$": "<rootDir>/packages/web/src/$1.ts" };

/** @type {import("jest").Config} */
module.exports = {
  // Ends a test that hangs.
  testTimeout: 600_000,
  projects: [
    {
      displayName: "pure",
      testMatch: ["<rootDir>/tests/pure/**/*.test.ts"],
      testEnvironment: "<rootDir>/tests/support/OrtEnvironment.cjs",
      // Metro resolves dynamic imports itself; Jest needs them as promises of `require`.
      transform: {
        "\\.[jt]sx?$": [
          "babel-jest",
          {
            caller: { name: "metro", bundler: "metro", platform: "android" },
            plugins: ["@babel/plugin-transform-dynamic-import"],
          },
        ],
      },
      transformIgnorePatterns: [`node_modules/(?!(${modules})/)`],
      moduleNameMapper: {
        ...alias,
        "^@cornerstonejs/codec-(openjpeg|charls|libjpeg-turbo-8bit)/decode$": "<rootDir>/tests/support/$1.js",
      },
    },
    {
      displayName: "components",
      preset: "jest-expo",
      testMatch: ["<rootDir>/tests/components/**/*.test.tsx"],
      // Published as modules or as sources that Jest cannot read as they are.
      transformIgnorePatterns: preset.transformIgnorePatterns.map((pattern) => pattern.replace("(?!(", `(?!(${modules}|`)),
      moduleNameMapper: { ...alias, "\\.onnx$": "<rootDir>/tests/support/asset.js" },
      setupFiles: ["<rootDir>/tests/support/native.ts"],
      setupFilesAfterEnv: ["<rootDir>/tests/support/patience.ts"],
    },
  ],
};
