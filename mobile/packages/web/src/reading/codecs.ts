/** Decoders of compressed frames; the large ones are loaded when a file first needs them. */

import { jpegSegments } from "./codestream";
import { loadCharls, loadLibjpeg, loadOpenjpeg } from "./loadCodec";
import { Refusal } from "./refusals";

/** A decoded frame: interleaved samples of 8 bits, or of 16 with the sign of the stream. */
export interface Frame {
  readonly data: Uint8Array | Uint16Array | Int16Array;
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
}

/**
 * JPEG of 8 bits, baseline or progressive (ITU-T T.81), by libjpeg-turbo; one sample a pixel, or
 * three. Python's readers use the same library, so the pixels are the same to the last bit.
 *
 * Three samples are RGB, unless `raw`: then they are as coded, which is what the header
 * of a DICOM file describes.
 */
export async function decodeJpeg(frame: Uint8Array, raw = false): Promise<Frame> {
  const { JPEGDecoder } = await loadLibjpeg();
  return decodeWith(new JPEGDecoder(), raw ? withoutColourTransform(frame) : frame);
}

const ADOBE = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0] as const;

/**
 * The frame with Adobe's segment that states "no colour transform" (T.872 6.5.3), in place of what
 * it states itself: libjpeg then leaves the samples as they were coded.
 */
function withoutColourTransform(frame: Uint8Array): Uint8Array {
  const copy = new Uint8Array(frame.length + ADOBE.length);
  copy.set(frame.subarray(0, 2));
  copy.set(ADOBE, 2);
  copy.set(frame.subarray(2), 2 + ADOBE.length);
  for (const { marker, start, length } of jpegSegments(frame)) {
    // The names of the JFIF and Adobe segments are erased, and with them what they state.
    if ((marker === 0xe0 || marker === 0xee) && length >= 5) {
      copy.fill(0, start + ADOBE.length, start + ADOBE.length + 5);
    }
  }
  return copy;
}

/** JPEG lossless (T.81 process 14). */
export async function decodeLosslessJpeg(frame: Uint8Array, precision: number): Promise<Frame> {
  const { Decoder } = await import("jpeg-lossless-decoder-js");
  const decoder = new Decoder();
  const bytes = precision <= 8 ? 1 : 2;
  const copy = frame.slice();
  const image = decoder.decode(copy.buffer, 0, copy.length, bytes);
  const { dimY: rows, dimX: columns, numComp: samples } = decoder.frame;
  return { data: image.subarray(0, rows * columns * samples), rows, columns, samples };
}

/** JPEG-LS (T.87), by CharLS. */
export async function decodeJpegLs(frame: Uint8Array): Promise<Frame> {
  const { JpegLSDecoder } = await loadCharls();
  return decodeWith(new JpegLSDecoder(), frame);
}

/** JPEG 2000 and HTJ2K (T.800, T.814), by OpenJPEG. */
export async function decodeJpeg2000(frame: Uint8Array): Promise<Frame> {
  const { J2KDecoder } = await loadOpenjpeg();
  return decodeWith(new J2KDecoder(), frame);
}

/** A module of Emscripten with one decoder in it. */
export type EmscriptenModule<Name extends string> = Readonly<Record<Name, new () => EmscriptenDecoder>>;

/** What CharLS and OpenJPEG have in common in the builds of Cornerstone. */
export interface EmscriptenDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): {
    width: number;
    height: number;
    bitsPerSample: number;
    componentCount: number;
    isSigned?: boolean;
  };
  delete(): void;
}

function decodeWith(decoder: EmscriptenDecoder, frame: Uint8Array): Frame {
  try {
    decoder.getEncodedBuffer(frame.length).set(frame);
    decoder.decode();
    const info = decoder.getFrameInfo();
    // A copy: the buffer is a view of the module's memory.
    const bytes = decoder.getDecodedBuffer().slice();
    const count = info.width * info.height * info.componentCount;
    const size = info.bitsPerSample <= 8 ? 1 : 2;
    if (bytes.length < count * size) throw new Refusal("decoder");
    let data: Frame["data"] = bytes.subarray(0, count);
    if (size === 2) {
      const Sample = info.isSigned ? Int16Array : Uint16Array;
      data = new Sample(bytes.buffer, bytes.byteOffset, count);
    }
    return { data, rows: info.height, columns: info.width, samples: info.componentCount };
  } finally {
    decoder.delete();
  }
}

/** RLE (DICOM PS3.5 G): one segment for each byte of each sample, the high byte first. */
export function decodeRle(
  frame: Uint8Array,
  layout: { rows: number; columns: number; samples: number; allocated: number },
): Frame {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 64) throw new Refusal("codestream-truncated");
  const segments = view.getUint32(0, true);
  const bytes = layout.allocated / 8;
  if (segments < 1 || segments > 15) throw new Refusal("codestream");
  if (bytes > 2) throw new Refusal("bits");
  if (segments !== layout.samples * bytes) throw new Refusal("codestream-samples");
  const offsets = Array.from({ length: segments }, (_, i) => view.getUint32(4 + 4 * i, true));
  if (offsets[0]! < 64 || offsets.some((offset, i) => i > 0 && offset <= offsets[i - 1]!)) {
    throw new Refusal("codestream");
  }
  if (offsets[segments - 1]! >= frame.length) throw new Refusal("codestream-truncated");
  const pixels = layout.rows * layout.columns;
  const data =
    bytes === 2 ? new Uint16Array(pixels * layout.samples) : new Uint8Array(pixels * layout.samples);
  const plane = new Uint8Array(pixels);
  for (let i = 0; i < segments; i++) {
    unpackBits(frame.subarray(offsets[i], offsets[i + 1] ?? frame.length), plane);
    const sample = Math.floor(i / bytes);
    const shift = 8 * (bytes - 1 - (i % bytes));
    for (let pixel = 0; pixel < pixels; pixel++) {
      const at = pixel * layout.samples + sample;
      data[at] = data[at]! | (plane[pixel]! << shift);
    }
  }
  return { data, rows: layout.rows, columns: layout.columns, samples: layout.samples };
}

/** PackBits (PS3.5 G.3.1), which must fill `out`. */
function unpackBits(segment: Uint8Array, out: Uint8Array): void {
  let from = 0;
  let to = 0;
  while (to < out.length && from + 1 < segment.length) {
    const control = segment[from++]!;
    if (control < 128) {
      const run = segment.subarray(from, Math.min(from + control + 1, from + out.length - to));
      out.set(run, to);
      from += control + 1;
      to += run.length;
    } else if (control > 128) {
      const count = Math.min(257 - control, out.length - to);
      out.fill(segment[from++]!, to, to + count);
      to += count;
    }
  }
  if (to < out.length) throw new Refusal("decoder");
}
