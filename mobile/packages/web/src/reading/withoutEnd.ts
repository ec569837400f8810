/** Frames without end marker: decoded if no pixel is missing. */

import type { Frame } from "./codecs";
import { hasAllScans, JPEG_LS_MARKER, type Layout } from "./codestream";
import { joined } from "./joined";
import { Refusal } from "./refusals";

export const END = Uint8Array.of(0xff, 0xd9);
// Trial endings for a codestream that ends early. If they change pixels, data is missing.
const GUESSES = [[], Array<number>(64).fill(0xaa), Array<number>(64).fill(0x55)].map((guess) => Uint8Array.from(guess));

/**
 * Decode a JPEG or JPEG-LS frame without end marker.
 *
 * @throws Refusal "codestream-truncated" if a pixel is missing.
 */
export async function decodeWithoutEnd(
  frame: Uint8Array,
  { marker, precision }: Layout,
  decode: (frame: Uint8Array) => Promise<Frame>,
): Promise<Frame> {
  if (marker === JPEG_LS_MARKER) {
    // CharLS refuses one byte too many or too few, so that padding must go. Of its bytes, the first
    // may be coded data, which can end with a code word's up to 47 zero bits (T.87 A.5.3).
    let least = frame.length;
    while (least > 0 && [0, 0x20, 0xff].includes(frame[least - 1]!)) least--;
    for (let kept = least; kept <= Math.min(frame.length, least + 5); kept++) {
      const decoded = await decode(joined([frame.subarray(0, kept), END])).catch(() => null);
      if (decoded) return decoded;
    }
    throw new Refusal("codestream-truncated");
  }
  if (!hasAllScans(frame)) throw new Refusal("codestream-truncated");
  let end = frame.length;
  while (end > 0 && frame[end - 1] === 0xff) end--;
  // libjpeg-turbo's build for browsers refuses a scan that ends early, and bytes after one that does not.
  const guesses = marker <= 0xc2 && precision === 8 ? GUESSES.slice(0, 1) : GUESSES;
  let first: Frame | null = null;
  for (const guess of guesses) {
    const decoded = await decode(joined([frame.subarray(0, end), guess, END])).catch(() => {
      throw new Refusal("codestream-truncated");
    });
    first ??= decoded;
    const { data: wanted } = first;
    if (decoded.data.some((value, i) => value !== wanted[i])) throw new Refusal("codestream-truncated");
  }
  return first!;
}
