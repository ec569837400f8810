/** Pictures in PNG and JPEG files, and the radiographs that they are. */

import { Unzlib } from "fflate";

import { decodeJpeg, decodeJpegLs, decodeLosslessJpeg, type Frame } from "./codecs";
import { cut, JPEG_LS_MARKER, jpegLayout, sequential } from "./codestream";
import { fullScaleOf, type Grey, in16Bits, luma, render } from "./greyscale";
import { MAX_INFLATED_BYTES, MAX_PIXELS } from "./limits";
import { decodeJpeg12 } from "./jpeg12";
import { believedAspect, jpegAspect, jpegCamera, jpegOrientation, squared, tiffOrientation, turn } from "./orientation";
import { decode as decodePng } from "./png";
import { type Plane, plainFacts, type Radiograph, type RasterFormat } from "./radiograph";
import { Refusal } from "./refusals";
import { decodeWithoutEnd } from "./withoutEnd";

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** "PNG" or "JPEG" by the file's first bytes; null for anything else. */
export function rasterFormat(file: Uint8Array): "PNG" | "JPEG" | null {
  if (PNG_SIGNATURE.every((byte, i) => file[i] === byte)) return "PNG";
  return file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff ? "JPEG" : null;
}

/** A decoded picture: samples interleaved, opacity the last of 2 or 4 channels. */
export interface Raster {
  readonly format: RasterFormat;
  readonly data: Uint8Array | Uint8ClampedArray | Uint16Array;
  readonly rows: number;
  readonly columns: number;
  readonly channels: number;
  /** Bits of a sample as it was stored. */
  readonly bits: number;
  /** EXIF orientation, 1 to 8. */
  readonly orientation: number;
  /** Height of a pixel over its width, by the densities of a PNG or JPEG. */
  readonly aspect: number;
  /** Whether a camera wrote its name into the file. */
  readonly camera: boolean;
  /** The colour that stands for transparency (PNG's tRNS). */
  readonly clear: readonly number[] | null;
}

/** Decode a JPEG or PNG file. */
export function decodeRaster(file: Uint8Array, format: "PNG" | "JPEG"): Promise<Raster> {
  return format === "PNG" ? Promise.resolve(decodePngFile(file)) : decodeJpegFile(file);
}

/** The radiograph that a picture is. */
export function radiographOf(raster: Raster): Radiograph {
  const { data, rows, columns, channels, bits, format, clear } = raster;
  let grey: Grey;
  if (data instanceof Uint16Array) {
    grey = deepGrey(data, raster);
  } else {
    grey = shades(data, { rows, columns, channels, fullScale: 255 });
    darken(grey.pixels, data, channels, clear);
  }
  const upright = turn(grey.pixels, raster.orientation);
  const aspect = raster.orientation >= 5 ? 1 / raster.aspect : raster.aspect;
  const facts = plainFacts(format, upright.rows, upright.columns, bits, grey.colour);
  return { pixels: squared(upright, aspect), facts: { ...facts, orientation: raster.orientation } };
}

async function decodeJpegFile(file: Uint8Array): Promise<Raster> {
  const layout = jpegLayout(file);
  if (!layout) throw new Refusal("raster-header");
  checkSize(layout.rows, layout.columns);
  const { marker, precision } = layout;
  const deep = layout.samples === 1 && (marker === 0xc3 || marker === JPEG_LS_MARKER || (precision === 12 && marker === 0xc1));
  if (!deep && (precision !== 8 || marker > 0xc2)) throw new Refusal("raster-mode");
  // Decoders ignore a missing end, and leave grey what is missing.
  const found = cut(file, true);
  if (!found) throw new Refusal("raster-truncated");
  const decode = async (data: Uint8Array) => {
    if (marker === 0xc3) return decodeLosslessJpeg(data, precision);
    if (marker === JPEG_LS_MARKER) return decodeJpegLs(data);
    return deep ? decodeJpeg12(data) : decodeJpeg(data);
  };
  let frame: Frame;
  try {
    frame = found.ended ? await decode(deep ? sequential(found.data) : file) : await decodeWithoutEnd(file, layout, decode);
  } catch (error) {
    const truncated = error instanceof Refusal && error.code === "codestream-truncated";
    throw new Refusal(truncated ? "raster-truncated" : "raster-damaged");
  }
  const { rows, columns, samples } = frame;
  return {
    format: "JPEG",
    data: frame.data as Uint8Array | Uint16Array,
    rows,
    columns,
    channels: samples,
    bits: layout.precision,
    orientation: jpegOrientation(file),
    aspect: believedAspect(jpegAspect(file)),
    camera: jpegCamera(file),
    clear: null,
  };
}

function decodePngFile(file: Uint8Array): Raster {
  const header = checkPng(file);
  // A checksum may be wrong in a file that every viewer opens; the size of the data was checked.
  const png = attempt(() => decodePng(file, { checkCrc: false }), "raster-damaged");
  const { width: columns, height: rows } = png;
  const depth = png.palette ? 8 : png.depth;
  const known = {
    format: "PNG",
    rows,
    columns,
    bits: header.depth,
    orientation: header.exif ? tiffOrientation(header.exif) : 1,
    aspect: believedAspect(header.aspect),
    camera: false,
    clear: null,
  } as const;
  if (png.data instanceof Uint16Array && !png.palette) {
    const clear = png.transparency ? Array.from(png.transparency) : null;
    return { ...known, data: png.data, channels: png.channels, bits: 16, clear };
  }
  if (png.palette) {
    const channels = png.palette[0]?.length ?? 3;
    return { ...known, data: paletteColours(png.data, png.palette, rows, columns, png.depth), channels };
  }
  // As Pillow does: fewer than 8 bits are spread.
  const data = eightBits(png.data, rows, columns * png.channels, depth);
  const spread = 255 / (2 ** depth - 1);
  const clear = png.transparency ? Array.from(png.transparency, (value) => value * spread) : null;
  return { ...known, data, channels: png.channels, clear };
}

/** Grey of 1 to 4 interleaved channels, opacity left aside. */
export function shades(
  data: Uint8Array | Uint8ClampedArray | Uint16Array | Int16Array,
  { rows, columns, channels, fullScale }: { rows: number; columns: number; channels: number; fullScale: number },
): Grey {
  if (channels >= 3) {
    const bytes = data instanceof Uint8ClampedArray ? new Uint8Array(data.buffer, data.byteOffset, data.length) : data;
    return luma({ data: bytes, rows, columns, pixelStride: channels, channelStride: 1 }, fullScale);
  }
  const grey = new Float32Array(rows * columns);
  for (let i = 0; i < grey.length; i++) grey[i] = data[i * channels]! / fullScale;
  return { pixels: { data: grey, rows, columns }, colour: false };
}

/**
 * Grey of more than 8 bits, on the scale of the bits that it uses; transparent pixels are black and do not
 * determine the range.
 */
function deepGrey(data: Uint16Array, { rows, columns, channels, bits, clear }: Raster): Grey {
  const how = { bits: Math.max(bits, 9) };
  if (channels === 1) {
    const padding = clear ? ([clear[0]!, clear[0]!] as const) : null;
    return { pixels: render(data, rows, columns, { ...how, padding }), colour: false };
  }
  const opacity = opacityOf(data, channels, clear);
  let stored = new Uint16Array(rows * columns);
  let colour = false;
  if (channels >= 3) {
    let most = 0;
    data.forEach((value, at) => (most = at % channels < 3 ? Math.max(most, value) : most));
    const fullScale = fullScaleOf(most, 16);
    const found = luma({ data, rows, columns, pixelStride: channels, channelStride: 1 }, fullScale);
    // A single grey value has no range of its own.
    if (found.pixels.data.every((value) => value === found.pixels.data[0])) return dimmed(found, opacity);
    stored = in16Bits(found.pixels.data);
    ({ colour } = found);
  } else {
    stored = stored.map((_, i) => data[i * channels]!);
  }
  if (opacity) {
    let least = Infinity;
    stored.forEach((value, i) => (least = opacity[i]! > 0 ? Math.min(least, value) : least));
    if (least < Infinity) stored = stored.map((value, i) => (opacity[i]! > 0 ? value : least));
  }
  return dimmed({ pixels: render(stored, rows, columns, how), colour }, opacity);
}

/** Opacity in 0..1, on the scale of the bits that it uses; null without any. */
function opacityOf(data: Uint16Array, channels: number, clear: readonly number[] | null): Float32Array | null {
  const pixels = new Float32Array(data.length / channels);
  if (channels === 3) {
    return clear && pixels.map((_, i) => (clear.every((value, channel) => data[3 * i + channel] === value) ? 0 : 1));
  }
  let most = 0;
  pixels.forEach((_, i) => (most = Math.max(most, data[(i + 1) * channels - 1]!)));
  return pixels.map((_, i) => data[(i + 1) * channels - 1]! / fullScaleOf(most, 16));
}

function dimmed(grey: Grey, opacity: Float32Array | null): Grey {
  opacity?.forEach((share, i) => (grey.pixels.data[i] = grey.pixels.data[i]! * share));
  return grey;
}

/** Transparent pixels turn black. */
function darken(
  pixels: Plane,
  data: Uint8Array | Uint8ClampedArray,
  channels: number,
  clear: readonly number[] | null,
): void {
  const hasOpacity = channels === 2 || channels === 4;
  if (!hasOpacity && !clear) return;
  for (let i = 0; i < pixels.data.length; i++) {
    let opacity = 1;
    if (hasOpacity) opacity = data[i * channels + channels - 1]! / 255;
    else if (clear!.every((value, channel) => data[i * channels + channel] === value)) opacity = 0;
    pixels.data[i] = pixels.data[i]! * opacity;
  }
}

type Samples = Uint8Array | Uint8ClampedArray | Uint16Array;

function eightBits(data: Samples, rows: number, perRow: number, depth: number): Uint8Array {
  if (depth === 8) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  const factor = 255 / (2 ** depth - 1);
  return unpack(data, rows, perRow, depth).map((value) => value * factor);
}

/** Samples of fewer than 8 bits, packed from the high bit down, each row from a new byte. */
function unpack(data: Samples, rows: number, perRow: number, depth: number): Uint8Array {
  const bytesPerRow = Math.ceil((perRow * depth) / 8);
  if (data.length < rows * bytesPerRow) throw new Refusal("raster-damaged");
  const samples = new Uint8Array(rows * perRow);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < perRow; i++) {
      const bit = i * depth;
      const byte = data[row * bytesPerRow + (bit >> 3)]!;
      samples[row * perRow + i] = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
    }
  }
  return samples;
}

function paletteColours(
  data: Samples,
  palette: readonly number[][],
  rows: number,
  columns: number,
  depth: number,
): Uint8Array {
  const index = depth === 8 ? data : unpack(data, rows, columns, depth);
  const channels = palette[0]?.length ?? 3;
  const colours = new Uint8Array(rows * columns * channels);
  for (let i = 0; i < rows * columns; i++) {
    const entry = palette[index[i]!];
    if (!entry) throw new Refusal("raster-damaged");
    colours.set(entry, i * channels);
  }
  return colours;
}

interface PngHeader {
  readonly depth: number;
  readonly exif: Uint8Array | null;
  readonly aspect: number | null;
}

/** Check a PNG's chunks (PNG 1.2, 5 and 11) and that its data fills the image and no more. */
function checkPng(file: Uint8Array): PngHeader {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 33 || view.getUint32(12) !== 0x49484452) throw new Refusal("raster-header");
  const [columns, rows] = [view.getUint32(16), view.getUint32(20)];
  checkSize(rows, columns);
  const depth = view.getUint8(24);
  const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[view.getUint8(25)];
  if (!channels || ![1, 2, 4, 8, 16].includes(depth)) throw new Refusal("raster-header");
  // Adam7 begins rows anew in each of its seven passes.
  const least = rows * Math.ceil((columns * channels * depth) / 8);
  const most = Math.min(2 * least + 16 * (rows + 8), MAX_INFLATED_BYTES);
  if (least > MAX_INFLATED_BYTES) throw new Refusal("memory");

  let inflated = 0;
  let exif: Uint8Array | null = null;
  let aspect: number | null = null;
  let ended = false;
  const inflater = new Unzlib((chunk) => {
    inflated += chunk.length;
    if (inflated > most) throw new Refusal("raster-damaged");
  });
  for (let at = 8; at + 8 <= file.length && !ended; ) {
    const length = view.getUint32(at);
    const type = view.getUint32(at + 4);
    const end = at + 8 + length;
    if (end + 4 > file.length) break;
    if (type === 0x49444154) attempt(() => inflater.push(file.subarray(at + 8, end)), "raster-damaged"); // IDAT
    else if (type === 0x6163544c && view.getUint32(at + 8) > 1) throw new Refusal("multi-frame"); // acTL
    else if (type === 0x70485973 && length >= 8) aspect = view.getUint32(at + 8) / view.getUint32(at + 12); // pHYs
    else if (type === 0x65584966) exif = file.subarray(at + 8, end); // eXIf
    else if (type === 0x49454e44) ended = true; // IEND
    at = end + 4;
  }
  if (inflated < least) throw new Refusal("raster-truncated");
  return { depth, exif, aspect };
}

function checkSize(rows: number, columns: number): void {
  if (!rows || !columns) throw new Refusal("size-zero");
  if (rows * columns > MAX_PIXELS) throw new Refusal("too-many-pixels");
}

/** Any failure of a decoder is the file's. */
function attempt<T>(work: () => T, code: "raster-damaged"): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(code);
  }
}
