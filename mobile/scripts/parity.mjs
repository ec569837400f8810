/**
 * Compare TypeScript with Python on the packaged model, and write the table of README.md.
 *
 *   node scripts/parity.mjs     (needs a Python with nanoray: .venv, or NANORAY_PYTHON)
 */

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { writeTable } from "./readme.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const tables = ["vectors", "rg1"].map((name) => path.join(ROOT, `measurements/parity-${name}.md`));

for (const table of tables) rmSync(table, { force: true });
const { status } = spawnSync("npx", ["--no-install", "jest", "--selectProjects", "pure", "--testPathPattern", "(vectors|python)\\.test"], {
  cwd: ROOT,
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);
const [vectors, rg1] = tables.map((table) => readFileSync(table, "utf8").trim().split("\n"));
writeTable("parity", [...vectors, ...rg1.slice(2)].join("\n"));
