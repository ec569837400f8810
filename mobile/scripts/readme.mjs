/** The tables of README.md that commands write: between `<!-- NAME -->` and `<!-- end of NAME -->`. */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const README = fileURLToPath(new URL("../README.md", import.meta.url));

export function writeTable(name, table) {
  const [start, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const text = readFileSync(README, "utf8");
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}`);
  writeFileSync(README, `${text.slice(0, from + start.length)}\n\n${table.trim()}\n\n${text.slice(to)}`);
}
