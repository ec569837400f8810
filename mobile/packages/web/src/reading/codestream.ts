/** Sizes in a compressed frame, read before decoding. */

/** Size of a compressed frame. `marker` is a JPEG's start-of-frame marker; 0 for JPEG 2000. */
export interface Layout {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly precision: number;
  readonly marker: number;
}

export const JPEG_LS_MARKER = 0xf7;
const NOT_FRAMES = new Set([0xc4, 0xc8, 0xcc]);

/** Whether a marker starts a frame (ITU-T T.81 table B.1; T.87 for JPEG-LS). */
function startsFrame(marker: number): boolean {
  return marker === JPEG_LS_MARKER || (marker >= 0xc0 && marker <= 0xcf && !NOT_FRAMES.has(marker));
}

/** A segment of a JPEG's header: marker, offset of its contents, their length. */
export interface Segment {
  readonly marker: number;
  readonly start: number;
  readonly length: number;
}

/** The segments of a JPEG (T.81 B.1.1) or JPEG-LS stream before its image data. */
export function* jpegSegments(frame: Uint8Array): Generator<Segment> {
  let at = frame[0] === 0xff && frame[1] === 0xd8 ? 2 : frame.length;
  while (at + 4 <= frame.length && frame[at] === 0xff) {
    const marker = frame[at + 1]!;
    if (marker === 0xff) {
      at += 1; // fill byte
    } else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
    } else {
      const length = frame[at + 2]! * 256 + frame[at + 3]!;
      if (length < 2 || marker === 0xd9 || marker === 0xda) return;
      yield { marker, start: at + 4, length: length - 2 };
      at += 2 + length;
    }
  }
}

/** Layout of a JPEG (T.81 B.2.2) or JPEG-LS (T.87 C.2.2) stream; null if it is neither. */
export function jpegLayout(frame: Uint8Array): Layout | null {
  for (const { marker, start } of jpegSegments(frame)) {
    if (!startsFrame(marker)) continue;
    if (start + 6 > frame.length) return null;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    return {
      precision: view.getUint8(start),
      rows: view.getUint16(start + 1),
      columns: view.getUint16(start + 3),
      samples: view.getUint8(start + 5),
      marker,
    };
  }
  return null;
}

/** Layout of a JPEG 2000 or HTJ2K codestream (T.800 A.5.1), bare or in a JP2 file; else null. */
export function jpeg2000Layout(frame: Uint8Array): Layout | null {
  const start = codestreamStart(frame);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (start + 42 > frame.length || view.getUint32(start) !== 0xff4fff51) return null;
  const columns = view.getUint32(start + 8) - view.getUint32(start + 16);
  const rows = view.getUint32(start + 12) - view.getUint32(start + 20);
  const samples = view.getUint16(start + 40);
  if (rows <= 0 || columns <= 0 || samples < 1 || samples > 4) return null;
  if (start + 42 + 3 * samples > frame.length) return null;
  const precision = (view.getUint8(start + 42) & 0x7f) + 1;
  for (let i = 0; i < samples; i++) {
    const at = start + 42 + 3 * i;
    const same = (view.getUint8(at) & 0x7f) + 1 === precision;
    if (!same || view.getUint8(at + 1) !== 1 || view.getUint8(at + 2) !== 1) return null;
  }
  return { rows, columns, samples, precision, marker: 0 };
}

/** Offset of the codestream: 0, or that of the contents of the jp2c box (T.800 I.5.4). */
export function codestreamStart(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 8 || view.getUint32(4) !== 0x6a502020) return 0; // "jP  "
  let at = 0;
  while (at + 8 <= frame.length) {
    const length = view.getUint32(at);
    if (view.getUint32(at + 4) === 0x6a703263) return at + (length === 1 ? 16 : 8); // "jp2c"
    if (length < 8) break;
    at += length;
  }
  return frame.length;
}

/** Offset of a JPEG's first scan (SOS), past application segments that may hold thumbnails; -1 for none. */
export function scanStart(frame: Uint8Array): number {
  let at = 2;
  for (const { start, length } of jpegSegments(frame)) at = start + length;
  while (frame[at] === 0xff && frame[at + 1] === 0xff) at += 1;
  return frame[at] === 0xff && frame[at + 1] === 0xda && at + 4 <= frame.length ? at : -1;
}

/** Offset of the first tile-part (SOT) of a JPEG 2000 codestream; -1 without any data (SOD). */
function tilesStart(frame: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  for (let at = codestreamStart(frame) + 2; at + 4 <= frame.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at);
    if (marker === 0xff90) return markerAt(frame, 0x93, at) >= 0 ? at : -1;
    if (marker < 0xff00 || view.getUint16(at + 2) < 2) return -1;
  }
  return -1;
}

/** Offset of a marker from there on; -1 for none. */
function markerAt(frame: Uint8Array, marker: number, from: number): number {
  for (let at = frame.indexOf(0xff, from); at >= 0; at = frame.indexOf(0xff, at + 1)) {
    if (frame[at + 1] === marker) return at;
  }
  return -1;
}

/**
 * A frame without what follows its end marker, and whether it has one; null without image data, and
 * for a JPEG 2000 without end marker whose tile-parts are not whole.
 *
 * Items have an even length (PS3.5 A.4). Writers pad with 00, FF, spaces or more. EOI and EOC
 * are both FFD9, which coded data cannot hold.
 */
export function cut(frame: Uint8Array, jpeg: boolean): Cut | null {
  if (!jpeg) return cutJpeg2000(frame);
  const begin = scanStart(frame);
  if (begin < 0) return null;
  const end = markerAt(frame, 0xd9, begin);
  return end < 0 ? { data: frame, ended: false } : { data: frame.subarray(0, end + 2), ended: true };
}

export interface Cut {
  readonly data: Uint8Array;
  readonly ended: boolean;
}

/** See `cut`. Tile-parts state their lengths (T.800 A.4.2); their headers may hold FFD9. */
function cutJpeg2000(frame: Uint8Array): Cut | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const isMarker = (at: number, marker: number) => at + 2 <= frame.length && view.getUint16(at) === marker;
  const begin = tilesStart(frame);
  if (begin < 0) return null;
  let at = begin;
  let whole = true;
  while (isMarker(at, 0xff90) && at + 12 <= frame.length) {
    const length = view.getUint32(at + 6);
    if (length < 14 || at + length > frame.length) {
      whole = false; // the last tile-part may state 0
      break;
    }
    // Not if the rest of it was filled with one value.
    whole &&= new Set(frame.subarray(at + length - 16, at + length)).size > 1;
    at += length;
  }
  if (isMarker(at, 0xffd9)) return { data: frame.subarray(0, at + 2), ended: true };
  if (whole && frame.subarray(at).every((byte) => byte === 0 || byte === 0xff || byte === 0x20)) {
    return { data: frame.subarray(0, at), ended: false };
  }
  // A length is wrong or missing.
  const data = [at, begin].map((from) => markerAt(frame, 0x93, from)).find((found) => found >= 0);
  const end = data === undefined ? -1 : markerAt(frame, 0xd9, data);
  return end < 0 ? null : { data: frame.subarray(0, end + 2), ended: true };
}

/**
 * A sequential DCT JPEG whose scans cover all coefficients, as T.81 B.2.3 demands. Some writers leave
 * the end of the spectral selection at 0, for which it must be 63.
 */
export function sequential(frame: Uint8Array): Uint8Array {
  const marker = jpegLayout(frame)?.marker;
  if (marker !== 0xc0 && marker !== 0xc1) return frame;
  const mended = frame.slice();
  for (let at = scanStart(frame); at >= 0 && at + 5 <= mended.length; ) {
    const parameters = at + 5 + 2 * mended[at + 4]!;
    if (parameters + 3 <= mended.length) mended.set([0, 63, 0], parameters);
    // Coded data holds no marker, so that the next one is another scan's.
    at = markerAt(mended, 0xda, parameters);
  }
  return mended;
}

/** Whether a JPEG of three components holds red, green and blue rather than YCbCr. */
export function jpegIsRgb(frame: Uint8Array): boolean {
  for (const { marker, start, length } of jpegSegments(frame)) {
    const name = String.fromCharCode(...frame.subarray(start, start + 5));
    if (marker === 0xee && name === "Adobe" && length >= 12) return frame[start + 11] === 0;
  }
  for (const { marker, start, length } of jpegSegments(frame)) {
    if (!startsFrame(marker) || length < 15) continue;
    const ids = [6, 9, 12].map((at) => String.fromCharCode(frame[start + at]!)).join("");
    return ids === "RGB" || marker === 0xc3 || marker === JPEG_LS_MARKER;
  }
  return false;
}

/**
 * Whether the scans of a JPEG cover all components and coefficients to the last bit. A file that ends between
 * two scans of a progressive JPEG decodes, to a blurred picture.
 */
export function hasAllScans(frame: Uint8Array): boolean {
  const layout = jpegLayout(frame);
  if (!layout) return false;
  const progressive = layout.marker === 0xc2;
  // The lowest bit that was sent of each coefficient of a component (T.81 G.1.1.1).
  const sent = new Map<number, Map<number, number>>();
  for (let at = scanStart(frame); at >= 0 && at + 5 <= frame.length; ) {
    const count = frame[at + 4]!;
    const end = at + 5 + 2 * count;
    if (end + 3 > frame.length) return false;
    const [first, last] = progressive ? [frame[end]!, frame[end + 1]!] : [0, 63];
    for (let component = 0; component < count; component++) {
      const id = frame[at + 5 + 2 * component]!;
      const lowest = sent.get(id) ?? new Map<number, number>();
      for (let k = first; k <= last; k++) lowest.set(k, progressive ? frame[end + 2]! & 15 : 0);
      sent.set(id, lowest);
    }
    at = nextScan(frame, end + 3);
  }
  const whole = (lowest: Map<number, number>) => lowest.size >= 64 && [...lowest.values()].every((bit) => bit === 0);
  return sent.size >= layout.samples && [...sent.values()].every(whole);
}

/** Offset of the next SOS marker, from within coded data; -1 for none. */
function nextScan(frame: Uint8Array, from: number): number {
  let at = from;
  while (at + 1 < frame.length) {
    const marker = frame[at + 1]!;
    // Within coded data stand RST, and FF00 for the byte FF.
    if (frame[at] !== 0xff || marker === 0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd7)) {
      at += 1;
      continue;
    }
    if (marker === 0xda) return at;
    if (marker === 0xd9 || at + 4 > frame.length) return -1;
    at += 2 + frame[at + 2]! * 256 + frame[at + 3]!;
  }
  return -1;
}
