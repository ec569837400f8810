import { defineConfig } from "vite";

// The built page is part of the Python package, which serves it: no Node on a user's machine.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../src/nanoray/serving/page",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "assets/worklist.js",
        assetFileNames: "assets/worklist.[ext]",
      },
    },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080" } },
});
