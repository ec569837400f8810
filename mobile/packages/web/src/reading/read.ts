/** Reading what people hand over: a radiograph, or a photograph of one. */

import { looksLikePhotograph, type Photograph, photographOf } from "../straightening/photograph";

import { looksLikeDicom, readDicom } from "./dicom";
import { MAX_FILE_BYTES } from "./limits";
import { type DecodeByPlatform, platformFormat } from "./platform";
import type { PlatformFormat, Radiograph } from "./radiograph";
import { decodeRaster, radiographOf, type Raster, rasterFormat } from "./raster";
import { Refusal, type RefusalCode } from "./refusals";

// First bytes of what people try that cannot be read, for a reason that helps them (`nanoray.reading.file_kind`).
const KNOWN_OTHERS: readonly (readonly [string, RefusalCode])[] = [
  ["%PDF", "document"],
  ["PK\x03\x04", "archive"],
  ["PK\x05\x06", "archive"],
  ["\x1f\x8b", "archive"], // gzip
  ["BZh", "archive"],
  ["\xfd7zXZ\0", "archive"],
  ["\x28\xb5\x2f\xfd", "archive"], // Zstandard
  ["7z\xbc\xaf\x27\x1c", "archive"],
  ["Rar!\x1a\x07", "archive"],
  ["GIF8", "unsupported-format"],
  ["II*\0", "unsupported-format"],
  ["MM\0*", "unsupported-format"],
  ["II+\0", "unsupported-format"], // BigTIFF
  ["MM\0+", "unsupported-format"],
  ["\0\0\0\x0cjP  ", "unsupported-format"],
  ["\xff\x4f\xff\x51", "unsupported-format"], // JPEG 2000 without a container
];

function isTar(file: Uint8Array): boolean {
  return String.fromCharCode(...file.subarray(257, 262)) === "ustar";
}

// The sizes of a Windows bitmap's second header: a text may begin with "BM" too.
const BITMAP_HEADERS: ReadonlySet<number> = new Set([12, 16, 40, 52, 56, 64, 108, 124]);

function isBitmap(file: Uint8Array): boolean {
  if (file[0] !== 0x42 || file[1] !== 0x4d || file.length < 18) return false;
  return BITMAP_HEADERS.has(new DataView(file.buffer, file.byteOffset).getUint32(14, true));
}

const UNDECODED: Readonly<Record<PlatformFormat, RefusalCode>> = {
  HEIC: "heic",
  WebP: "picture-format",
  AVIF: "picture-format",
};

/** What a file holds. */
export type Opened =
  | { readonly kind: "radiograph"; readonly radiograph: Radiograph }
  | { readonly kind: "photograph"; readonly photograph: Photograph };

/**
 * Open a file: a photograph is to be straightened before it can be judged. What comes straight
 * `fromCamera` is one, whatever it looks like.
 *
 * @throws Refusal if the file holds no single readable image; nothing else is ever thrown.
 */
export async function open(
  file: Uint8Array,
  decodeByPlatform?: DecodeByPlatform,
  fromCamera = false,
): Promise<Opened> {
  return guarded(async () => {
    const found = await readUnguarded(file, decodeByPlatform);
    if ("pixels" in found) return { kind: "radiograph", radiograph: found };
    return fromCamera || looksLikePhotograph(found)
      ? { kind: "photograph", photograph: photographOf(found) }
      : { kind: "radiograph", radiograph: radiographOf(found) };
  });
}

/**
 * Read one radiograph; a photograph is taken as it is.
 *
 * @throws Refusal if the file holds no single readable image; nothing else is ever thrown.
 */
export async function read(file: Uint8Array, decodeByPlatform?: DecodeByPlatform): Promise<Radiograph> {
  return guarded(async () => {
    const found = await readUnguarded(file, decodeByPlatform);
    return "pixels" in found ? found : radiographOf(found);
  });
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    // Files of unknown origin find what tests did not. No message of a library, which may quote
    // the file, is shown.
    throw new Refusal(error instanceof RangeError ? "memory" : "unexpected");
  }
}

async function readUnguarded(file: Uint8Array, decodeByPlatform?: DecodeByPlatform): Promise<Radiograph | Raster> {
  if (!file.length) throw new Refusal("empty-file");
  if (file.length > MAX_FILE_BYTES) throw new Refusal("file-too-large");
  const isDicom = file[128] === 0x44 && file[129] === 0x49 && file[130] === 0x43 && file[131] === 0x4d;
  if (isDicom) return readDicom(file);
  const format = rasterFormat(file);
  if (format) return decodeRaster(file, format);
  const platform = platformFormat(file);
  if (platform) {
    const picture = await decodeByPlatform?.(file, platform);
    if (!picture) throw new Refusal(UNDECODED[platform]);
    return {
      ...picture,
      format: platform,
      channels: 4,
      bits: 8,
      orientation: 1,
      aspect: 1,
      // Phones write HEIC; WebP and AVIF come from messengers and the web.
      camera: platform === "HEIC",
      clear: null,
    };
  }
  for (const [beginning, code] of KNOWN_OTHERS) {
    if (Array.from(beginning).every((letter, i) => file[i] === letter.charCodeAt(0))) throw new Refusal(code);
  }
  if (isTar(file)) throw new Refusal("archive");
  if (isBitmap(file)) throw new Refusal("unsupported-format");
  if (!looksLikeDicom(file)) throw new Refusal("not-an-image");
  return readDicom(file);
}
