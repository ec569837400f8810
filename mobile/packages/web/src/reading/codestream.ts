/** Sizes that a compressed frame states itself, read before any decoder touches it. */

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

/**
 * Whether a frame has image data and ends with its end marker (EOI and EOC are both FFD9).
 *
 * Decoders pass over the lack of either, and leave grey what is missing. Padding may follow.
 */
export function complete(frame: Uint8Array, data: 0xda | 0x93): boolean {
  let end = frame.length;
  const floor = Math.max(2, end - 4096);
  while (end > floor && (frame[end - 1] === 0 || frame[end - 1] === 0xff)) end--;
  if (frame[end - 1] !== 0xd9 || frame[end - 2] !== 0xff) return false;
  for (let at = frame.indexOf(0xff); at >= 0; at = frame.indexOf(0xff, at + 1)) {
    if (frame[at + 1] === data) return true;
  }
  return false;
}
