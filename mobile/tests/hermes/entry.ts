/**
 * Reads the given files in a device's engine, and prints the results.
 *
 * `scripts/check-hermes.mjs` bundles it, runs it in Hermes and in Node, and compares the two.
 */

import "./platform";

import { read } from "@nanoray/web/reading/read";
import { Refusal } from "@nanoray/web/reading/refusals";


// `check-hermes.mjs` puts them here, as base64.
declare const FILES: Readonly<Record<string, string>>;
declare const print: (line: string) => void;

async function main(): Promise<void> {
  for (const [name, content] of Object.entries(FILES)) {
    try {
      const { pixels, facts } = await read(fromBase64(content));
      print(`${name}: ${facts.format} ${pixels.rows} x ${pixels.columns}, ${digest(pixels.data)}`);
    } catch (error) {
      print(`${name}: ${error instanceof Refusal ? `refused: ${error.code}` : `threw ${String(error)}`}`);
    }
  }
}

/** FNV-1a of the pixels' bits. */
function digest(pixels: Float32Array): string {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16);
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function fromBase64(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.replace(/=+$/, "").length * 3) / 4));
  let [held, count, at] = [0, 0, 0];
  for (const letter of text) {
    if (letter === "=") break;
    held = (held << 6) | LETTERS.indexOf(letter);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = (held >> count) & 255;
  }
  return bytes;
}

void main();
