/** Pictures that only the platform can decode: HEIC, WebP and AVIF. */

import type { PlatformFormat } from "./radiograph";

/** Red, green, blue and opacity, 8 bits each, upright. */
export interface RgbaPicture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly rows: number;
  readonly columns: number;
}

/** Decode a picture by the platform; null where it cannot. */
export type DecodeByPlatform = (file: Uint8Array, format: PlatformFormat) => Promise<RgbaPicture | null>;

// Brands of ISO base media files (ISO/IEC 23008-12 annex B; AV1 Image File Format 1.1).
const HEIC = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "heif"]);
const AVIF = new Set(["avif", "avis"]);

/** The format of such a picture by its first bytes; null for anything else. */
export function platformFormat(file: Uint8Array): PlatformFormat | null {
  if (ascii(file, 0, 4) === "RIFF" && ascii(file, 8, 4) === "WEBP") return "WebP";
  if (ascii(file, 4, 4) !== "ftyp") return null;
  const length = Math.min(((file[0]! << 24) | (file[1]! << 16) | (file[2]! << 8) | file[3]!) >>> 0, 256);
  // The major brand, then, after its version, the compatible ones.
  const brands = [ascii(file, 8, 4)];
  for (let at = 16; at + 4 <= length; at += 4) brands.push(ascii(file, at, 4));
  if (brands.some((brand) => AVIF.has(brand))) return "AVIF";
  return brands.some((brand) => HEIC.has(brand)) ? "HEIC" : null;
}

function ascii(file: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...file.subarray(start, start + length));
}
