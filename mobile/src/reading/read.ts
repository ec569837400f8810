/** Reading radiographs: a DICOM, PNG or JPEG file to pixels in 0..1 and harmless facts. */

import { looksLikeDicom, readDicom } from "./dicom";
import { MAX_FILE_BYTES } from "./limits";
import type { Radiograph } from "./radiograph";
import { rasterFormat, readJpeg, readPng } from "./raster";
import { Refusal, type RefusalCode } from "./refusals";

// First bytes of what people try that cannot be read, for a reason that helps them.
const KNOWN_OTHERS: readonly (readonly [string, RefusalCode])[] = [
  ["%PDF", "document"],
  ["PK\x03\x04", "archive"],
  ["\x1f\x8b", "archive"],
  ["7z\xbc\xaf\x27\x1c", "archive"],
  ["GIF8", "unsupported-format"],
  ["BM", "unsupported-format"],
  ["RIFF", "unsupported-format"],
  ["II*\0", "unsupported-format"],
  ["MM\0*", "unsupported-format"],
  ["\0\0\0\x0cjP  ", "unsupported-format"],
];

/**
 * Read one radiograph.
 *
 * @throws Refusal if the file holds no single readable image; nothing else is ever thrown.
 */
export async function read(file: Uint8Array): Promise<Radiograph> {
  try {
    return await readUnguarded(file);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // Files of unknown origin find what tests did not. No message of a library, which may quote
    // the file, is shown.
    throw new Refusal(error instanceof RangeError ? "memory" : "unexpected");
  }
}

async function readUnguarded(file: Uint8Array): Promise<Radiograph> {
  if (!file.length) throw new Refusal("empty-file");
  if (file.length > MAX_FILE_BYTES) throw new Refusal("file-too-large");
  const isDicom = file[128] === 0x44 && file[129] === 0x49 && file[130] === 0x43 && file[131] === 0x4d;
  if (!isDicom) {
    const format = rasterFormat(file);
    if (format === "PNG") return readPng(file);
    if (format === "JPEG") return readJpeg(file);
    for (const [beginning, code] of KNOWN_OTHERS) {
      if (Array.from(beginning).every((letter, i) => file[i] === letter.charCodeAt(0))) throw new Refusal(code);
    }
    if (!looksLikeDicom(file)) throw new Refusal("not-an-image");
  }
  return readDicom(file);
}
