import expo from "eslint-config-expo/flat.js";
import { defineConfig, globalIgnores } from "eslint/config";

export default defineConfig([
  globalIgnores(["dist/**", "android/**", "ios/**", "packages/*/dist/**", ".expo/**", "node_modules/**"]),
  expo,
  {
    rules: {
      eqeqeq: ["error", "always"],
      "no-console": "error",
      "prefer-const": "error",
      // The compiler checks these, and knows the packages' types.
      "import/namespace": "off",
      "import/no-named-as-default-member": "off",
    },
  },
  {
    files: ["scripts/**", "packages/*/scripts/**", "e2e/**", "tests/**/*.mjs", "public/**", "*.config.*"],
    languageOptions: {
      globals: {
        process: "readonly",
        Buffer: "readonly",
        self: "readonly",
        caches: "readonly",
        window: "readonly",
        document: "readonly",
        navigator: "readonly",
      },
    },
    rules: { "no-console": "off" },
  },
]);
