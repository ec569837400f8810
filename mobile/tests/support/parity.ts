/** The parity table: how far TypeScript is from Python, into measurements/parity-NAME.md. */

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

export function parityTable(name: string) {
  const rows: string[] = [];
  return {
    add(file: string, furthest: number, python: number, typescript: number) {
      const cells = [file, (furthest * 255).toFixed(3), python, typescript, Math.abs(typescript - python)];
      rows.push(`| ${cells.map((cell) => (typeof cell === "number" ? cell.toFixed(4) : cell)).join(" | ")} |`);
    },
    write() {
      const folder = path.join(__dirname, "../../measurements");
      const head = "| file | furthest pixel (1/255) | logit, Python | logit, TypeScript | difference |\n| --- | --- | --- | --- | --- |";
      mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, `parity-${name}.md`), `${[head, ...rows].join("\n")}\n`);
    },
  };
}
