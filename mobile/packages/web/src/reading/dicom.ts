/**
 * Reading one radiograph from a DICOM file (PS3.10) of unknown origin.
 *
 * The header is checked first. The pixel data is read once its size is known to be bounded and
 * to agree with the header. Nothing that identifies a patient is stored.
 */

import { type DataSet, type Element, parseDicom, readPart10Header } from "dicom-parser";
import { Gunzip, Inflate, Unzlib } from "fflate";

import { decoded, legacyReadings } from "./characterSet";
import { decodeJpeg, decodeJpeg2000, decodeJpegLs, decodeLosslessJpeg, decodeRle, type Frame } from "./codecs";
import { cut, JPEG_LS_MARKER, jpeg2000Layout, jpegIsRgb, jpegLayout, sequential } from "./codestream";
import { decodeJpeg12 } from "./jpeg12";
import {
  COLOUR_SHARE,
  COLOUR_SPREAD,
  type Curve,
  fullScaleOf,
  type Grey,
  in16Bits,
  LUMA,
  luma,
  lumaOfYbr,
  lookUp,
  type LookupTable,
  type Part,
  render,
  type Stored,
  windowCurve,
  within,
} from "./greyscale";
import { MAX_INFLATED_BYTES, MAX_PIXELS } from "./limits";
import { decimals } from "./numbers";
import { joined } from "./joined";
import { believedAspect, squared, turn } from "./orientation";
import type { Facts, Plane, Radiograph } from "./radiograph";
import { Refusal, type RefusalCode } from "./refusals";
import { openedBy } from "./shutter";
import { decodeWithoutEnd, END } from "./withoutEnd";
import { isChest, isLateral, isOblique, knownView, meansChild, saysLateral, words } from "./vocabulary";

const PREFIX_AT = 128;

const SYNTAX = {
  implicit: "1.2.840.10008.1.2",
  explicit: "1.2.840.10008.1.2.1",
  deflated: "1.2.840.10008.1.2.1.99",
  encapsulatedNative: "1.2.840.10008.1.2.1.98",
  bigEndian: "1.2.840.10008.1.2.2",
  rle: "1.2.840.10008.1.2.5",
} as const;
const NATIVE: readonly string[] = [SYNTAX.implicit, SYNTAX.explicit, SYNTAX.deflated, SYNTAX.bigEndian];
const JPEG = ["50", "51"].map((end) => `1.2.840.10008.1.2.4.${end}`);
const JPEG_LOSSLESS = ["57", "70"].map((end) => `1.2.840.10008.1.2.4.${end}`);
const JPEG_LS = ["80", "81"].map((end) => `1.2.840.10008.1.2.4.${end}`);
const JPEG_2000 = ["90", "91", "201", "202", "203"].map((end) => `1.2.840.10008.1.2.4.${end}`);
// JPEG processes that PS3.5 no longer has; their frames are read by their own header.
const RETIRED_JPEG = [52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 65, 66].map((end) => `1.2.840.10008.1.2.4.${end}`);
const COMPRESSED = [SYNTAX.rle, ...JPEG, ...RETIRED_JPEG, ...JPEG_LOSSLESS, ...JPEG_LS, ...JPEG_2000];
const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10\d/;

// SOP classes of objects that hold no image (PS3.4 B.5), by the beginning of their UID.
const STORAGE = "1.2.840.10008.5.1.4.1.1.";
const NOT_IMAGES: readonly (readonly [string, RefusalCode])[] = [
  ["1.2.840.10008.1.3.10", "dicomdir"],
  [`${STORAGE}88.`, "structured-report"],
  [`${STORAGE}104.`, "encapsulated-document"],
  [`${STORAGE}11.`, "presentation-state"],
  [`${STORAGE}9.`, "waveform"],
  [`${STORAGE}481.`, "radiotherapy"],
];
const IMAGE_CLASSES = new RegExp(
  `^${STORAGE.replaceAll(".", "\\.")}(1|1\\.1|1\\.2|1\\.3|1\\.1\\.1|1\\.2\\.1|1\\.3\\.1|2|4|6\\.1|7|12\\.1|12\\.2|20)$`,
);

// DX View (PS3.16 CID 4010), in SNOMED CT and in the SRT codes before it.
const VIEWS: Readonly<Record<string, string>> = {
  "399348003": "AP",
  "R-10206": "AP",
  "272479007": "PA",
  "R-10214": "PA",
  "R-40888": "PA",
  "399173006": "LL",
  "R-10236": "LL",
  "399198007": "RL",
  "R-10232": "RL",
  "399067008": "LATERAL",
  "R-102CD": "LATERAL",
};

const TAG = {
  mediaStorageClass: "x00020002",
  transferSyntax: "x00020010",
  characterSet: "x00080005",
  sopClass: "x00080016",
  dates: ["x00080020", "x00080021", "x00080022", "x00080023"],
  presentationIntent: "x00080068",
  seriesDescription: "x0008103e",
  protocol: "x00181030",
  studyDescription: "x00081030",
  requestedProcedure: "x00321060",
  performedProcedure: "x00400254",
  processing: "x00181400",
  patientOrientation: "x00200020",
  aspect: "x00280034",
  pixelSpacing: ["x00280030", "x00181164", "x00182010"],
  anatomicRegion: "x00082218",
  codeMeaning: "x00080104",
  modality: "x00080060",
  birthDate: "x00100030",
  sex: "x00100040",
  age: "x00101010",
  bodyPart: "x00180015",
  view: "x00185101",
  viewCode: "x00540220",
  codeValue: "x00080100",
  samples: "x00280002",
  photometric: "x00280004",
  planar: "x00280006",
  frames: "x00280008",
  rows: "x00280010",
  columns: "x00280011",
  allocated: "x00280100",
  stored: "x00280101",
  highBit: "x00280102",
  representation: "x00280103",
  padding: "x00280120",
  paddingLimit: "x00280121",
  windowCentre: "x00281050",
  windowWidth: "x00281051",
  intercept: "x00281052",
  slope: "x00281053",
  voiFunction: "x00281056",
  paletteDescriptors: ["x00281101", "x00281102", "x00281103"],
  paletteData: ["x00281201", "x00281202", "x00281203"],
  modalityLut: "x00283000",
  lutDescriptor: "x00283002",
  lutData: "x00283006",
  voiLut: "x00283010",
  shutter: {
    shapes: "x00181600",
    left: "x00181602",
    right: "x00181604",
    upper: "x00181606",
    lower: "x00181608",
    centre: "x00181610",
    radius: "x00181612",
    vertices: "x00181620",
  },
  presentationShape: "x20500020",
  pixels: "x7fe00010",
  floatPixels: "x7fe00008",
  doublePixels: "x7fe00009",
} as const;

/** The image pixel module (PS3.3 C.7.6.3), checked. */
interface ImagePixelModule {
  readonly rows: number;
  readonly columns: number;
  readonly samples: number;
  readonly photometric: string;
  readonly planar: number;
  readonly allocated: number;
  readonly stored: number;
  readonly highBit: number;
  readonly signed: boolean;
  /** Whether low values are bright. */
  readonly negative: boolean;
  /** Inclusive range of padding (PS3.3 C.7.5.1.1.2), in the samples' own sign. */
  readonly padding: readonly [number, number] | null;
}

// Names of photometric interpretations without spaces and underscores.
const PHOTOMETRICS = new Map(
  ["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"].map(
    (name) => [name.replace(/[\W_]/g, ""), name],
  ),
);

/** Whether a file begins as DICOM does: with the prefix, or with a plausible first element. */
export function looksLikeDicom(file: Uint8Array): boolean {
  return hasPrefix(file) || guessedSyntax(file) !== null;
}

/** Read the radiograph in a DICOM file. */
export async function readDicom(file: Uint8Array): Promise<Radiograph> {
  const { header, syntax } = parse(file);
  const sopClass = text(header, TAG.mediaStorageClass) ?? text(header, TAG.sopClass) ?? "";
  if (sopClass === "1.2.840.10008.1.3.10") throw new Refusal("dicomdir");
  const element = header.elements[TAG.pixels];
  if (!element) throw new Refusal(withoutPixels(sopClass, header));
  if (VIDEO.test(syntax)) throw new Refusal("video");
  let image = imagePixelModule(header);
  const frames = numberOfFrames(header);
  if (element.length === 0) throw new Refusal("empty-pixel-data");

  let stored: Stored;
  let { photometric } = image;
  let planar = image.planar === 1;
  if (NATIVE.includes(syntax) || syntax === SYNTAX.encapsulatedNative) {
    const value = nativeValue(header, element, image, frames, syntax);
    stored = nativeSamples(value, image, syntax === SYNTAX.bigEndian, element.vr === "OW");
  } else {
    if (!COMPRESSED.includes(syntax)) throw new Refusal("transfer-syntax");
    if (!element.encapsulatedPixelData) throw new Refusal("encapsulation");
    const compressed = singleFrame(header, element, frames);
    const coding = codingOf(compressed, syntax);
    const { frame, ...found } = await decompress(compressed, coding, image);
    image = found.image;
    photometric = image.photometric;
    if (frame.rows !== image.rows || frame.columns !== image.columns) throw new Refusal("codestream-size");
    if (frame.samples !== image.samples) throw new Refusal("codestream-samples");
    const masks = coding === "JPEG 2000" || coding === "JPEG-LS";
    stored = masks ? masked(frame.data, image, found.precision, coding === "JPEG-LS") : inTheSignOf(frame.data, image);
    planar = false;
    // The decoder undoes the colour transforms that are JPEG 2000's own (PS3.5 8.2.4).
    if (coding === "JPEG 2000" && image.samples === 3) photometric = "RGB";
  }
  const { pixels, colour } = grey(stored, photometric, planar, image, header, syntax);
  return upright(pixels, facts(header, image, syntax, colour), header);
}

function hasPrefix(file: Uint8Array): boolean {
  return ascii(file, PREFIX_AT, 4) === "DICM";
}

/** Transfer syntax of a data set without preamble, by its first element; null if it is none. */
function guessedSyntax(file: Uint8Array): string | null {
  if (file.length < 12) return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (const little of [true, false]) {
    const group = view.getUint16(0, little);
    if (group !== 0x0002 && group !== 0x0008) continue;
    const explicit = /^[A-Z]{2}$/.test(ascii(file, 4, 2));
    if (explicit) return little ? SYNTAX.explicit : SYNTAX.bigEndian;
    if (little && view.getUint16(2, true) <= 0x3000 && view.getUint32(4, true) <= 1024) {
      return SYNTAX.implicit;
    }
  }
  if (beginsLater(file, view, true)) return SYNTAX.explicit;
  if (beginsLater(file, view, false)) return SYNTAX.bigEndian;
  return beginsLaterImplicitly(file, view) ? SYNTAX.implicit : null;
}

const VRS = new Set("AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split(" "));
const LONG_VRS = new Set("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(" "));

/** Whether two explicit elements of groups above 0008 come first, in order. */
function beginsLater(file: Uint8Array, view: DataView, little: boolean): boolean {
  let [at, last] = [0, 0];
  for (let number = 0; number < 2; number++) {
    if (at + 12 > file.length) return at > 0;
    const [group, element] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
    const [tag, vr] = [group * 0x10000 + element, ascii(file, at + 4, 2)];
    if (group < 0x0004 || group > 0x0028 || group % 2 || tag <= last || !VRS.has(vr)) return false;
    const long = LONG_VRS.has(vr);
    const length = long ? view.getUint32(at + 8, little) : view.getUint16(at + 6, little);
    if (length > 0xffff) return false;
    [at, last] = [at + (long ? 12 : 8) + length, tag];
  }
  return true;
}

/** Whether three implicit elements of groups above 0008 and of even length come first, in order. */
function beginsLaterImplicitly(file: Uint8Array, view: DataView): boolean {
  let [at, last] = [0, 0];
  for (let number = 0; number < 3; number++) {
    if (at + 8 > file.length) return false;
    const [group, element, length] = [view.getUint16(at, true), view.getUint16(at + 2, true), view.getUint32(at + 4, true)];
    const tag = group * 0x10000 + element;
    if (group < 0x0004 || group > 0x0028 || group % 2 || tag <= last || length % 2) return false;
    [at, last] = [at + 8 + length, tag];
  }
  return true;
}

/** The data set, with everything after a deflated one's meta information inflated. */
function parse(file: Uint8Array): { header: DataSet; syntax: string } {
  let whole = file;
  if (!hasPrefix(file)) {
    const guessed = guessedSyntax(file);
    if (!guessed) throw new Refusal("not-an-image");
    // A preamble, so that a file without one, with or without file meta information, can be read.
    const isMeta = file[0] === 0x02 && file[1] === 0x00;
    whole = joined([isMeta ? preamble() : preamble(guessed), file]);
  }
  try {
    const meta = readPart10Header(whole);
    let syntax = text(meta, TAG.transferSyntax) ?? SYNTAX.implicit;
    const found = explicitSyntax(whole, meta.position);
    if (found && UNCOMPRESSED.includes(syntax) && found !== syntax) {
      syntax = found;
      whole = joined([preamble(found), whole.subarray(meta.position)]);
    }
    if (syntax === SYNTAX.deflated) whole = joined([preamble(SYNTAX.explicit), inflate(whole.subarray(meta.position))]);
    return { header: parseDicom(whole), syntax };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const { exception, dataSet: partial } = (error ?? {}) as { exception?: unknown; dataSet?: DataSet };
    // What follows the image may be damaged; it is not needed.
    if (partial?.elements[TAG.pixels]) {
      return { header: partial, syntax: text(readPart10Header(whole), TAG.transferSyntax) ?? SYNTAX.implicit };
    }
    if ((exception ?? error) instanceof RangeError) throw new Refusal("nested-too-deep");
    throw new Refusal(partial?.elements[TAG.rows] ? "truncated" : "malformed-dicom");
  }
}

const UNCOMPRESSED: readonly string[] = [SYNTAX.explicit, SYNTAX.bigEndian, SYNTAX.deflated];
const LAST_FIRST_GROUP = 0x0028;

/**
 * The native syntax of a data set by its first element; null if it has no explicit VR. Writers state another
 * byte order, or Deflate for a data set that is not deflated.
 */
function explicitSyntax(file: Uint8Array, begin: number): string | null {
  if (begin + 8 > file.length || !VRS.has(ascii(file, begin + 4, 2))) return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [little, big] = [view.getUint16(begin, true), view.getUint16(begin, false)];
  if (Math.min(little, big) > LAST_FIRST_GROUP) return null;
  return little < big ? SYNTAX.explicit : SYNTAX.bigEndian;
}

/** Preamble, prefix and, for a transfer syntax, the meta information that names it (PS3.10 7.1). */
function preamble(syntax?: string): Uint8Array {
  const start = new Uint8Array(PREFIX_AT + 4);
  start.set([0x44, 0x49, 0x43, 0x4d], PREFIX_AT); // DICM
  if (!syntax) return start;
  const uid = Array.from(syntax.length % 2 ? `${syntax}\0` : syntax, (letter) => letter.charCodeAt(0));
  return joined([start, Uint8Array.from([0x02, 0x00, 0x10, 0x00, 0x55, 0x49, uid.length, 0x00, ...uid])]);
}

/** Inflate to at most MAX_INFLATED_BYTES (PS3.5 A.5). Some writers add the header of zlib or gzip. */
function inflate(deflated: Uint8Array): Uint8Array {
  const [first, second] = [deflated[0] ?? 0, deflated[1] ?? 0];
  const isZlib = (first & 15) === 8 && (first * 256 + second) % 31 === 0;
  if (!isZlib && !(first === 0x1f && second === 0x8b)) return inflateBy(Inflate, deflated);
  try {
    return inflateBy(isZlib ? Unzlib : Gunzip, deflated);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "deflate-damaged") throw error;
    return inflateBy(Inflate, deflated);
  }
}

function inflateBy(Inflater: typeof Inflate | typeof Unzlib | typeof Gunzip, deflated: Uint8Array): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  let ended = false;
  const inflater = new Inflater((chunk: Uint8Array, final: boolean) => {
    chunks.push(chunk.slice());
    total += chunk.length;
    ended = final;
    if (total > MAX_INFLATED_BYTES) throw new Refusal("deflate-bomb");
  });
  try {
    inflater.push(deflated, true);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const early = (error as { code?: number } | null)?.code === 0;
    throw new Refusal(early ? "deflate-truncated" : "deflate-damaged");
  }
  if (!ended) throw new Refusal("deflate-truncated");
  return joined(chunks);
}

function withoutPixels(sopClass: string, header: DataSet): RefusalCode {
  for (const [beginning, code] of NOT_IMAGES) if (sopClass.startsWith(beginning)) return code;
  if (header.elements[TAG.floatPixels] ?? header.elements[TAG.doublePixels]) return "bits";
  return !sopClass || IMAGE_CLASSES.test(sopClass) ? "no-pixel-data" : "non-image";
}

function imagePixelModule(header: DataSet): ImagePixelModule {
  const rows = integer(header, TAG.rows);
  const columns = integer(header, TAG.columns);
  if (rows === null || columns === null) throw new Refusal("size-missing");
  if (!rows || !columns) throw new Refusal("size-zero");
  if (rows * columns > MAX_PIXELS) throw new Refusal("too-many-pixels");
  const samples = integer(header, TAG.samples, 1);
  if (samples !== 1 && samples !== 3) throw new Refusal("samples");
  const written = text(header, TAG.photometric) ?? (samples > 1 ? "RGB" : "MONOCHROME2");
  const photometric = PHOTOMETRICS.get(written.replace(/[\W_]/g, "")) ?? written;
  const single = ["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"].includes(photometric);
  const several = ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"].includes(photometric);
  if (!single && !several) throw new Refusal("photometric");
  if (single !== (samples === 1)) throw new Refusal("photometric-samples");
  const allocated = integer(header, TAG.allocated);
  if (allocated === null || ![1, 8, 16, 32].includes(allocated) || (allocated === 1 && samples !== 1)) {
    throw new Refusal("bits");
  }
  const stored = integer(header, TAG.stored, allocated);
  if (stored === null || stored < 1 || stored > allocated) throw new Refusal("bits");
  const representation = integer(header, TAG.representation, 0);
  if (representation !== 0 && representation !== 1) throw new Refusal("pixel-representation");
  const planar = integer(header, TAG.planar, 0);
  if (planar === null || (samples > 1 && planar > 1)) throw new Refusal("planar-configuration");
  let highBit = integer(header, TAG.highBit, stored - 1);
  if (highBit === null || highBit < stored - 1 || highBit >= allocated) highBit = stored - 1;
  const signed = representation === 1 && allocated > 1;
  return {
    rows,
    columns,
    samples,
    photometric,
    planar,
    allocated,
    stored,
    highBit,
    signed,
    padding: paddingRange(header, allocated, signed),
    // INVERSE is what MONOCHROME1 demands (PS3.3 C.8.11.3.1.2), and turns MONOCHROME2 round.
    negative:
      photometric === "MONOCHROME1" ||
      (photometric === "MONOCHROME2" && (text(header, TAG.presentationShape) ?? "").startsWith("INVERSE")),
  };
}

/** Number of Frames, 1 by default; null where it is malformed, so that the data must tell. */
function numberOfFrames(header: DataSet): number | null {
  const frames = integer(header, TAG.frames, 1);
  return frames === null || frames < 0 ? null : frames || 1;
}

/** Length of the frame in a native transfer syntax, before padding to an even length. */
function nativeBytes(image: ImagePixelModule): number {
  let bits = image.rows * image.columns * image.samples * image.allocated;
  if (image.photometric === "YBR_FULL_422") bits = Math.floor(bits / 3) * 2;
  return Math.ceil(bits / 8);
}

function nativeValue(
  header: DataSet,
  element: Element,
  image: ImagePixelModule,
  frames: number | null,
  syntax: string,
): Uint8Array {
  const expected = nativeBytes(image);
  const inItems = element.hadUndefinedLength === true || element.encapsulatedPixelData === true;
  if (inItems && syntax !== SYNTAX.encapsulatedNative) throw new Refusal("native-but-compressed");
  const value = inItems ? singleFrame(header, element, frames, expected) : bytesOf(header, element);
  if (!inItems && value.length < element.length) throw new Refusal(value.length ? "truncated" : "empty-pixel-data");
  if (frames !== null && frames > 1) throw new Refusal(value.length >= frames * expected ? "multi-frame" : "frames-mismatch");
  if (value.length < expected) {
    throw new Refusal(jpegLayout(value) || jpeg2000Layout(value) ? "native-but-compressed" : "size-mismatch");
  }
  if (value.length >= 2 * expected && value.length > 2) {
    if (frames === null) throw new Refusal("frames-malformed");
    throw new Refusal(value.length % expected <= 1 ? "frames-mismatch" : "size-mismatch");
  }
  // More than padding: with these Rows and Columns the image would be cut or skewed.
  if (!isPadding(value.subarray(expected + (expected % 2)), image)) throw new Refusal("size-mismatch");
  return value;
}

/** Whether the bytes after the pixels repeat one value, or are too few for a row or column. */
function isPadding(tail: Uint8Array, { rows, columns, samples, allocated }: ImagePixelModule): boolean {
  if (tail.subarray(0, tail.length & ~1).every((byte, i) => byte === tail[i % 2])) return true;
  const pixel = Math.max(1, Math.floor((samples * allocated) / 8));
  return tail.length < Math.min(rows, columns) * pixel;
}

/** Samples of a native frame, in the byte order and sign of this machine. */
function nativeSamples(
  value: Uint8Array,
  image: ImagePixelModule,
  bigEndian: boolean,
  words: boolean,
): Stored {
  const count = image.rows * image.columns * image.samples;
  if (image.photometric === "YBR_FULL_422") return interleaved422(value, count);
  if (image.allocated === 1) {
    return Uint8Array.from({ length: count }, (_, i) => (value[i >> 3]! >> (i & 7)) & 1);
  }
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  let samples: Uint8Array | Uint16Array | Uint32Array;
  if (image.allocated === 8) {
    // Two samples share a word (PS3.5 8.1.1), whose bytes change places with the byte order.
    samples = bigEndian && words ? swapped(value).subarray(0, count) : value.subarray(0, count);
  } else if (image.allocated === 16) {
    samples = new Uint16Array(count);
    for (let i = 0; i < count; i++) samples[i] = view.getUint16(2 * i, !bigEndian);
  } else {
    samples = new Uint32Array(count);
    for (let i = 0; i < count; i++) samples[i] = view.getUint32(4 * i, !bigEndian);
  }
  return withoutUnusedBits(samples, image);
}

function swapped(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => bytes[i ^ 1] ?? byte);
}

/** YBR_FULL_422 (PS3.3 C.7.6.3.1.2): two luminances share a pair of chrominances. */
function interleaved422(value: Uint8Array, count: number): Uint8Array {
  const full = new Uint8Array(count);
  for (let from = 0, to = 0; from + 3 < value.length && to + 5 < count; from += 4, to += 6) {
    const [first, second, cb, cr] = value.subarray(from, from + 4) as unknown as [number, number, number, number];
    full.set([first, cb, cr, second, cb, cr], to);
  }
  return full;
}

/**
 * Keep the significant bits, and extend their sign. Old encodings keep them on top (retired from
 * PS3.5 8.1.1); bits above them may hold overlays. Padding keeps all its bits, since it may need
 * them, such as 65535 beside samples of 12 bits.
 */
function withoutUnusedBits(samples: Uint8Array | Uint16Array | Uint32Array, image: ImagePixelModule): Stored {
  const { allocated, stored, highBit, signed, padding } = image;
  if (!signed && stored === allocated) return samples;
  const up = 32 - 1 - highBit;
  const back = 32 - stored;
  const Sample = signed
    ? { 8: Int8Array, 16: Int16Array, 32: Int32Array }[allocated]!
    : { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array }[allocated]!;
  const kept = new Sample(samples.length);
  for (let i = 0; i < samples.length; i++) {
    kept[i] = samples[i]!;
    if (padding && highBit < stored && kept[i]! >= padding[0] && kept[i]! <= padding[1]) continue;
    kept[i] = signed ? (samples[i]! << up) >> back : (samples[i]! << up) >>> back;
  }
  return kept;
}

/** A decoded frame's samples with the sign of the header. */
function inTheSignOf(data: Frame["data"], image: ImagePixelModule): Stored {
  const unsigned =
    data instanceof Int16Array ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data;
  if (!image.signed) return unsigned;
  const allocated = unsigned instanceof Uint8Array ? 8 : 16;
  const stored = Math.min(image.stored, allocated);
  return withoutUnusedBits(unsigned, { ...image, allocated, stored, highBit: stored - 1 });
}

/**
 * Remove the bits above Bits Stored from decoded samples, with their sign (PS3.5 8.1.1): overlays and
 * the like may fill these bits, or the sign of a codestream of fewer bits.
 */
function masked(data: Frame["data"], image: ImagePixelModule, precision: number, jpegLs: boolean): Stored {
  const size = 8 * data.BYTES_PER_ELEMENT;
  const signed = image.signed && (!jpegLs || size === image.stored);
  const Sample = size === 8 ? (signed ? Int8Array : Uint8Array) : signed ? Int16Array : Uint16Array;
  const stored = new Sample(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  if (image.stored >= size || (!image.signed && precision <= image.stored)) return stored;
  const half = 2 ** (image.stored - 1);
  const [low, high] = image.signed ? [-half, half - 1] : [0, 2 * half - 1];
  const slack = Math.floor(half / 2);
  let [least, most] = [Infinity, -Infinity];
  for (const value of stored) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const unsignedCode = image.signed && least >= 0 && most >= half;
  if (low - slack <= least && most <= high + slack && !unsignedCode) {
    // Lossy compression overshoots a little; values in unused bits are further off.
    return stored.map((value) => Math.min(high, Math.max(low, value)));
  }
  const unsigned = new (size === 8 ? Uint8Array : Uint16Array)(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  return withoutUnusedBits(unsigned, { ...image, allocated: size, highBit: image.stored - 1 });
}

/**
 * The frame in items: all fragments joined (PS3.5 A.4). The offset table and the delimiter may be missing, and
 * padding may precede the frame. `native`: length of a frame that is not compressed; null if it is.
 */
function singleFrame(header: DataSet, element: Element, frames: number | null, native: number | null = null): Uint8Array {
  const items = itemsOf(header.byteArray.subarray(element.dataOffset) as Uint8Array);
  const [first] = items;
  if (!first) throw new Refusal("encapsulation");
  if (beginsFrame(first) || first.length === native) items.unshift(new Uint8Array(0));
  const table = items[0]!;
  const fragments = items.slice(1).filter((fragment) => fragment.length > 0);
  if (!fragments.length) throw new Refusal(table.subarray(0, 4).some(Boolean) ? "encapsulation" : "empty-pixel-data");
  if (frames !== null && frames > 1) throw new Refusal(fragments.length >= frames ? "multi-frame" : "frames-mismatch");
  if (native === null) {
    fragments[0] = fragments[0]!.subarray(Math.max(0, beginning(fragments[0]!)));
    const starts = fragments.map((fragment) => beginsAt(fragment, 0));
    // A table may have an offset for each fragment of one frame; then only the first is a beginning.
    if (starts.filter(Boolean).length > 1 || (table.length > 4 && !starts[0])) {
      throw new Refusal(frames === null ? "frames-malformed" : "frames-mismatch");
    }
  }
  return fragments.length === 1 ? fragments[0]! : joined(fragments);
}

/** The contents of the items (PS3.5 A.4) up to the delimiter. */
function itemsOf(value: Uint8Array): Uint8Array[] {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const items: Uint8Array[] = [];
  for (let at = 0; at + 8 <= value.length; ) {
    const isItem = view.getUint16(at, true) === 0xfffe && view.getUint16(at + 2, true) === 0xe000;
    const length = view.getUint32(at + 4, true);
    if (!isItem) {
      const isDelimiter = view.getUint16(at, true) === 0xfffe && view.getUint16(at + 2, true) === 0xe0dd;
      if (isDelimiter || items.length) break;
    }
    if (!isItem || length === 0xffffffff) throw new Refusal("encapsulation");
    if (at + 8 + length > value.length) throw new Refusal("truncated");
    items.push(value.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return items;
}

const BEGINNINGS = [
  [0xff, 0xd8, 0xff],
  [0xff, 0x4f, 0xff, 0x51],
  [0, 0, 0, 0x0c, 0x6a, 0x50, 0x20, 0x20],
];

function beginsAt(item: Uint8Array, at: number): boolean {
  return BEGINNINGS.some((bytes) => bytes.every((byte, i) => item[at + i] === byte));
}

/** Offset of a JPEG or JPEG 2000 frame after padding; -1 for none. */
function beginning(item: Uint8Array): number {
  for (let at = 0; at <= 4096 && at < item.length; at++) {
    if (beginsAt(item, at)) return at;
    if (![0, 0x20, 0xff].includes(item[at]!)) break;
  }
  return -1;
}

const RLE_HEADER = 64;

/**
 * Whether an item begins a compressed frame, so that it is no offset table. An RLE frame begins with the number
 * of its segments and the first one's offset, 64 (PS3.5 G.5); the first offset in a table is 0.
 */
function beginsFrame(item: Uint8Array): boolean {
  if (beginning(item) >= 0) return true;
  if (item.length <= RLE_HEADER) return false;
  const view = new DataView(item.buffer, item.byteOffset, item.byteLength);
  const segments = view.getUint32(0, true);
  return segments >= 1 && segments <= 15 && view.getUint32(4, true) === RLE_HEADER;
}

type Coding = "RLE" | "JPEG" | "JPEG-LS" | "JPEG 2000";

/** What a frame is by its own header, which may contradict the transfer syntax. */
function codingOf(frame: Uint8Array, syntax: string): Coding {
  const layout = jpegLayout(frame);
  if (layout) return layout.marker === JPEG_LS_MARKER ? "JPEG-LS" : "JPEG";
  if (jpeg2000Layout(frame)) return "JPEG 2000";
  if (syntax === SYNTAX.rle) return "RLE";
  throw new Refusal("codestream");
}

/** A decoded frame, the header's image pixel module with the codestream's samples, and its precision. */
interface Decompressed {
  readonly frame: Frame;
  readonly image: ImagePixelModule;
  readonly precision: number;
}

async function decompress(whole: Uint8Array, coding: Coding, header: ImagePixelModule): Promise<Decompressed> {
  if (coding === "RLE") return { frame: decodeRle(whole, header), image: header, precision: header.allocated };
  const isJpeg2000 = coding === "JPEG 2000";
  const isJpegLs = coding === "JPEG-LS";
  const layout = isJpeg2000 ? jpeg2000Layout(whole) : jpegLayout(whole);
  if (!layout) throw new Refusal("codestream");
  if (layout.rows !== header.rows || layout.columns !== header.columns) throw new Refusal("codestream-size");
  const image = layout.samples === header.samples ? header : withSamples(header, layout.samples, isJpeg2000 || jpegIsRgb(whole));
  const { precision } = layout;
  if (!precision || precision > image.allocated) throw new Refusal("codestream-bits");
  const found = cut(whole, !isJpeg2000);
  if (!found) throw new Refusal("codestream-truncated");
  const data = isJpeg2000 ? found.data : sequential(found.data);
  const decode = async (frame: Uint8Array): Promise<Frame> => {
    try {
      if (isJpeg2000) return await decodeJpeg2000(frame);
      if (isJpegLs) return await decodeJpegLs(frame);
      if (layout.marker === 0xc3) return await decodeLosslessJpeg(frame, precision);
      if (precision === 12 && layout.samples === 1 && layout.marker === 0xc1) return decodeJpeg12(frame);
      if (precision !== 8 || layout.marker > 0xc2) throw new Refusal("transfer-syntax");
      return await decodeJpeg(frame, true);
    } catch (error) {
      throw error instanceof Refusal ? error : new Refusal("decoder");
    }
  };
  if (found.ended) return { frame: await decode(data), image, precision };
  if (isJpeg2000) return { frame: await decode(joined([data, END])), image, precision };
  return { frame: await decodeWithoutEnd(data, layout, decode), image, precision };
}

/** Grey pictures stored as colour, and colour stored as grey, are read by their samples. */
function withSamples(image: ImagePixelModule, samples: number, rgb: boolean): ImagePixelModule {
  if ((samples !== 1 && samples !== 3) || image.photometric === "PALETTE COLOR") throw new Refusal("codestream-samples");
  if (samples === 1) return { ...image, samples, photometric: "MONOCHROME2" };
  return { ...image, samples, photometric: rgb ? "RGB" : "YBR_FULL" };
}

function grey(
  stored: Stored,
  photometric: string,
  planar: boolean,
  image: ImagePixelModule,
  header: DataSet,
  syntax: string,
): Grey {
  const { rows, columns, samples } = image;
  const little = syntax !== SYNTAX.bigEndian;
  const opened = openedBy((element) => text(header, TAG.shutter[element]), rows, columns);
  const seen = opened && boundsOf(opened, rows, columns);
  let found: Grey;
  if (photometric === "PALETTE COLOR") found = palette(stored, image, header, little);
  else if (samples === 3) found = colours(stored, photometric, planar, image, seen);
  else found = { pixels: monochrome(stored, image, header, little, seen), colour: false };
  opened?.forEach((open, i) => {
    if (!open) found.pixels.data[i] = 0;
  });
  return found;
}

function boundsOf(opened: Uint8Array, rows: number, columns: number): Part {
  const part = { top: rows, bottom: 0, left: columns, right: 0 };
  opened.forEach((open, i) => {
    if (!open) return;
    const [row, column] = [Math.floor(i / columns), i % columns];
    part.top = Math.min(part.top, row);
    part.bottom = Math.max(part.bottom, row + 1);
    part.left = Math.min(part.left, column);
    part.right = Math.max(part.right, column + 1);
  });
  return part;
}

function colours(stored: Stored, photometric: string, planar: boolean, image: ImagePixelModule, seen: Part | null): Grey {
  const { rows, columns } = image;
  const bits = Math.min(image.stored, 8 * stored.BYTES_PER_ELEMENT);
  let most = photometric.startsWith("YBR") ? 2 ** bits - 1 : 0;
  for (const value of stored) most = Math.max(most, value);
  const strides = planar ? [1, rows * columns] : [3, 1];
  const channels = { data: stored, rows, columns, pixelStride: strides[0]!, channelStride: strides[1]! };
  const found = (photometric.startsWith("YBR") ? lumaOfYbr : luma)(channels, fullScaleOf(most, bits));
  if (image.stored > 8) {
    const how = { bits: 16, inverted: image.negative, seen };
    return { ...found, pixels: render(in16Bits(found.pixels.data), rows, columns, how) };
  }
  if (image.negative) found.pixels.data.forEach((value, i) => (found.pixels.data[i] = 1 - value));
  return found;
}

function monochrome(stored: Stored, image: ImagePixelModule, header: DataSet, little: boolean, seen: Part | null): Plane {
  const { rows, columns } = image;
  const low = image.signed ? -(2 ** (image.stored - 1)) : 0;
  const modality = modalityCurve(header, little, image.signed);
  const ends = [low, low + 2 ** image.stored - 1].map((value) => (modality ? modality(value) : value));
  const { padding } = image;
  const candidates = voiCurves(header, little, Math.min(...ends) < 0);
  let voi: Curve | null = null;
  if (candidates.length) {
    const values = sampled(seen ? within(stored, columns, seen) : stored, seen ? seen.right - seen.left : columns, padding);
    voi = chosenCurve(candidates, modality ? values.map(modality) : values);
  }
  return render(stored, rows, columns, { bits: image.stored, modality, voi, inverted: image.negative, padding, low, seen });
}

/** Number of pixels with which a window is tested. */
const SAMPLE = 4096;
/** Share of them that a window must show between black and white. */
const SHOWN = 0.01;
/** Largest share of them, but for the lowest and highest value, that a window may make black, or white. */
const ONE_END = 0.85;

/** A sample of the stored values that are not padding. */
function sampled(stored: Stored, columns: number, padding: readonly [number, number] | null): number[] {
  const step = Math.max(1, Math.floor(Math.sqrt(Math.floor(stored.length / SAMPLE))));
  const values: number[] = [];
  for (let row = 0; row * columns < stored.length; row += step) {
    for (let column = 0; column < columns; column += step) {
      const value = stored[row * columns + column]!;
      if (!padding || value < padding[0] || value > padding[1]) values.push(value);
    }
  }
  return values;
}

/**
 * The first curve that shows the values. A window for another kind of image, such as a
 * CT's on a radiograph, makes nearly all pixels black or white. Images of few levels use it anyway.
 */
function chosenCurve(candidates: readonly Curve[], all: readonly number[]): Curve | null {
  const values = all.filter(Number.isFinite);
  const few = new Set(values).size <= 16;
  const ends = (numbers: readonly number[]) =>
    [numbers.reduce((a, b) => Math.min(a, b), Infinity), numbers.reduce((a, b) => Math.max(a, b), -Infinity)] as const;
  const [least, most] = ends(values);
  const shows = (curve: Curve) => {
    const grey = values.map(curve);
    const [darkest, brightest] = ends(grey);
    if (few) return !grey.length || brightest - darkest > 1 / 512 || most === least;
    const shown = grey.filter((value) => value > 1 / 512 && value < 1 - 1 / 512).length;
    const content = grey.filter((_, i) => values[i]! > least && values[i]! < most);
    const black = content.filter((value) => value <= 1 / 512).length;
    const white = content.filter((value) => value >= 1 - 1 / 512).length;
    return shown >= SHOWN * grey.length && Math.max(black, white) <= ONE_END * content.length;
  };
  return candidates.find(shows) ?? null;
}

/**
 * The Modality LUT, or the rescale (PS3.3 C.11.1); null if the data set has neither. A table that is
 * empty, malformed or constant, and a slope of 0, count as absent, as for other readers.
 */
function modalityCurve(header: DataSet, little: boolean, signed: boolean): Curve | null {
  const [table] = lutSequence(header, TAG.modalityLut, little, signed).slice(0, 1);
  if (table) return (value) => lookUp(table, value);
  const [slope, intercept] = [TAG.slope, TAG.intercept].map((tag) => {
    const values = decimals(text(header, tag));
    if (values[0] === null) throw new Refusal("rescale");
    return values[0];
  });
  if (slope === undefined && intercept === undefined) return null;
  return (value) => value * (slope || 1) + (intercept ?? 0);
}

/** The VOI LUTs, then the windows (PS3.3 C.11.2), onto 0..1; without those that are not valid. */
function voiCurves(header: DataSet, little: boolean, signed: boolean): Curve[] {
  const found: Curve[] = [];
  for (const table of lutSequence(header, TAG.voiLut, little, signed)) {
    if (table) found.push((value) => lookUp(table, value) / table.fullScale);
  }
  const [centres, widths] = [TAG.windowCentre, TAG.windowWidth].map((tag) => decimals(text(header, tag)));
  const stated = text(header, TAG.voiFunction)?.split("\\")[0]?.trim();
  const shape = stated === "LINEAR_EXACT" || stated === "SIGMOID" ? stated : "LINEAR";
  centres!.forEach((centre, i) => {
    // Some writers give one width for several centres.
    const width = widths![Math.min(i, widths!.length - 1)] ?? null;
    const curve = centre === null || width === null ? null : windowCurve({ centre, width, shape });
    if (curve) found.push(curve);
  });
  return found;
}

/** The tables in a LUT Sequence; null in place of one that is empty, malformed or constant. */
function lutSequence(header: DataSet, tag: string, little: boolean, signed: boolean): (LookupTable | null)[] {
  return (header.elements[tag]?.items ?? []).map(({ dataSet }) => (dataSet ? lookupTable(dataSet, little, signed) : null));
}

/**
 * The full scale is that of the entries, where the descriptor gives another number of bits: Agfa writes
 * 12-bit entries and 16, others write 16-bit entries and 8, or 0. A table that is up to a 64th shorter
 * than its descriptor states ends with its last entry.
 */
function lookupTable(item: DataSet, little: boolean, signed: boolean): LookupTable | null {
  const descriptor = shorts(item, TAG.lutDescriptor, little);
  const element = item.elements[TAG.lutData];
  if (descriptor.length < 3 || !element) return null;
  const count = descriptor[0]! || 65_536;
  let bits = descriptor[2]!;
  // The first input value is stored in 16 bits whose sign the VR does not reliably tell.
  const first = signed && descriptor[1]! >= 0x8000 ? descriptor[1]! - 0x10000 : descriptor[1]!;
  const bytes = bytesOf(item, element);
  const narrow = bits <= 8 && (bytes.length === count || bytes.length === count + (count % 2));
  const entries = (narrow ? bytes : shorts(item, TAG.lutData, little)).slice(0, count);
  if (!entries.length || entries.length < count - Math.max(1, Math.floor(count / 64))) return null;
  let most = 0;
  for (const entry of entries) most = Math.max(most, entry);
  if (entries.every((entry) => entry === entries[0])) return null;
  const needed = Math.max(1, Math.floor(Math.log2(Math.max(1, most))) + 1);
  if (needed > bits || bits > 16 || needed < bits - 1) bits = Math.max(8, needed);
  return { first, entries, fullScale: 2 ** bits - 1 };
}

function paddingRange(header: DataSet, allocated: number, signed: boolean): [number, number] | null {
  const first = integer(header, TAG.padding);
  if (first === null) return null;
  const ends = [first, integer(header, TAG.paddingLimit, first) ?? first].map((end) => {
    const wrapped = allocated < 16 ? end & 0xff : end & 0xffff;
    return signed && wrapped >= 2 ** (allocated - 1) ? wrapped - 2 ** allocated : wrapped;
  });
  return [Math.min(...ends), Math.max(...ends)];
}

/** Luma of palette colours (PS3.3 C.7.6.3.1.5); values outside the palette take its ends. */
function palette(stored: Stored, image: ImagePixelModule, header: DataSet, little: boolean): Grey {
  const [red, green, blue] = TAG.paletteDescriptors.map((tag) => shorts(header, tag, little));
  if (!red || red.length < 3 || String(red) !== String(green) || String(red) !== String(blue)) {
    throw new Refusal("palette");
  }
  const count = red[0]! || 65_536;
  const bits = red[2]!;
  const first = image.signed && red[1]! >= 0x8000 ? red[1]! - 0x10000 : red[1]!;
  if ((bits !== 8 && bits !== 16) || image.allocated > 16) throw new Refusal("palette");
  const tables = TAG.paletteData.map((tag) => {
    const element = header.elements[tag];
    if (!element) throw new Refusal("palette");
    const bytes = bytesOf(header, element);
    const narrow = bits === 8 && (bytes.length === count || bytes.length === count + 1);
    const entries = Array.from(narrow ? bytes : shorts(header, tag, little));
    if (entries.length < count) throw new Refusal("palette");
    return entries;
  });
  // Entries of 8 bits may be stored in 16.
  const narrow = bits === 8 && tables.every((table) => !table.some((entry) => entry > 255));
  const fullScale = narrow ? 255 : 65_535;
  const data = new Float32Array(stored.length);
  let coloured = 0;
  for (let i = 0; i < stored.length; i++) {
    const index = Math.min(Math.max(stored[i]! - first, 0), count - 1);
    const colours = tables.map((table) => table[index]!);
    data[i] = colours.reduce((sum, value, channel) => sum + value * LUMA[channel]!, 0) / fullScale;
    if (Math.max(...colours) - Math.min(...colours) > COLOUR_SPREAD * fullScale) coloured++;
  }
  return {
    pixels: { data, rows: image.rows, columns: image.columns },
    colour: coloured > COLOUR_SHARE * stored.length,
  };
}

function facts(header: DataSet, image: ImagePixelModule, syntax: string, colour: boolean): Facts {
  const sex = text(header, TAG.sex);
  return {
    format: "DICOM",
    rows: image.rows,
    columns: image.columns,
    bitsStored: image.stored,
    photometric: image.photometric,
    transferSyntax: syntax,
    modality: code(header, TAG.modality),
    bodyPart: bodyPart(header),
    view: viewOf(header),
    sex: sex === "M" || sex === "F" || sex === "O" ? sex : null,
    ageYears: age(header),
    child: isOfChild(header),
    colour,
    orientation: 1,
    forProcessing: words(text(header, TAG.presentationIntent)).join(" ") === "FOR PROCESSING",
  };
}

// The direction of the rows (to the right) and of the columns (down), and the EXIF orientation that
// shows the patient upright with their left on the viewer's right (PS3.3 C.7.6.1.1.1).
const UPRIGHT: Readonly<Record<string, number>> = { LF: 1, RF: 2, RH: 3, LH: 4, FL: 5, FR: 6, HR: 7, HL: 8 };

/** Turn the image upright by Patient Orientation, and give it square pixels. */
function upright(pixels: Plane, found: Facts, header: DataSet): Radiograph {
  const orientation = UPRIGHT[directions(header) ?? ""] ?? 1;
  let aspect = believedAspect(pixelAspect(header));
  const turned = turn(pixels, orientation);
  let { rows, columns } = found;
  if (orientation >= 5) {
    [rows, columns] = [columns, rows];
    aspect = 1 / aspect;
  }
  return { pixels: squared(turned, aspect), facts: { ...found, rows, columns, orientation } };
}

/** The main directions of rows and columns, as two letters of L, R, A, P, H and F; null for none. */
function directions(header: DataSet): string | null {
  const parts = (text(header, TAG.patientOrientation) ?? "").toUpperCase().split("\\");
  const letters = parts.map((part) => part.trim().slice(0, 1)).join("");
  return parts.length === 2 && /^[LRAPHF]{2}$/.test(letters) ? letters : null;
}

/** Height of a pixel over its width. */
function pixelAspect(header: DataSet): number | null {
  for (const tag of TAG.pixelSpacing) {
    const [down, across] = decimals(text(header, tag));
    if (down && across && down > 0 && down < 100 && across > 0 && across < 100) return down / across;
  }
  const ratio = decimals(text(header, TAG.aspect));
  return ratio.length === 2 && ratio[0] && ratio[1] ? ratio[0] / ratio[1] : null;
}

/** The view: View Position, its code, Patient Orientation, which rules over AP and PA, or a description. */
function viewOf(header: DataSet): string | null {
  const written = meant(header, TAG.view, (read) => isLateral(read) || isOblique(read));
  const stated = (written && (code(header, TAG.view) ?? knownView(written))) || codedView(header);
  if (isLateral(stated) || isOblique(stated)) return stated;
  const axes = directions(header) ?? "";
  if (/[AP]/.test(axes) && /[HF]/.test(axes)) return "LATERAL";
  if (stated) return stated;
  const described = [TAG.seriesDescription, TAG.protocol, TAG.processing].map((tag) => meant(header, tag, saysLateral));
  return described.some(saysLateral) ? "LATERAL" : null;
}

/** Whether a description of the study or series, or the body part, means a child. */
function isOfChild(header: DataSet): boolean {
  const { studyDescription, requestedProcedure, performedProcedure, bodyPart: part } = TAG;
  const tags = [TAG.seriesDescription, TAG.protocol, TAG.processing, studyDescription, requestedProcedure, performedProcedure];
  const region = header.elements[TAG.anatomicRegion]?.items?.[0]?.dataSet;
  const meaning = region ? text(region, TAG.codeMeaning, header) : null;
  return meansChild(meaning) || [...tags, part].some((tag) => meansChild(meant(header, tag, meansChild)));
}

/** Body Part Examined, else the Anatomic Region; null where neither names one. */
function bodyPart(header: DataSet): string | null {
  let written = meant(header, TAG.bodyPart, isChest);
  if (!written) {
    const region = header.elements[TAG.anatomicRegion]?.items?.[0]?.dataSet;
    if (!region) return null;
    if (["51185008", "816094009", "T-D3000"].includes(text(region, TAG.codeValue) ?? "")) return "CHEST";
    written = text(region, TAG.codeMeaning, header);
  }
  if (written && CODE.test(written)) return written;
  if (isChest(written)) return "CHEST";
  const short = shortened(words(written));
  // The words that do not fit say which bone.
  return isChest(short) ? "SPINE OR STERNUM" : short;
}

/** A text, in a code page that is not stated if only there it has a known meaning. */
function meant(header: DataSet, tag: string, means: (text: string | null) => boolean): string | null {
  const written = text(header, tag);
  const element = header.elements[tag];
  if (written === null || !element || means(written)) return written;
  return legacyReadings(bytesOf(header, element), header.string(TAG.characterSet) ?? "").find(means) ?? written;
}

/** As many whole words as fit into a code string; a longer first word is cut. */
function shortened(tokens: readonly string[]): string | null {
  let kept = "";
  for (const token of tokens) {
    const longer = `${kept} ${token}`.trim();
    if (longer.length > 16) break;
    kept = longer;
  }
  return kept || tokens[0]?.slice(0, 16) || null;
}

/** The view by View Code Sequence (PS3.3 C.8.11.5.1.1). */
function codedView(header: DataSet): string | null {
  const item = header.elements[TAG.viewCode]?.items?.[0]?.dataSet;
  if (!item) return null;
  return VIEWS[text(item, TAG.codeValue) ?? ""] ?? (saysLateral(text(item, TAG.codeMeaning, header)) ? "LATERAL" : null);
}

// A number and a unit, also as words. "J" alone stands for years in German and for days in French.
const AGE = /^P?(\d{1,5}(?:[.,]\d+)?)\s*([^\d\s.,^_-]*)\.?$/;
// Units in a year, by the words for them.
const UNITS: ReadonlyMap<string, number> = new Map(
  (
    [
      [365.25, "D DAY DAYS TAGE JOURS DIAS GIORNI"],
      [52.18, "W WK WKS WEEK WEEKS WOCHEN"],
      [12, "M MO MON MOS MONTH MONTHS MONATE MOIS MESES"],
      [1, "Y YO YR YRS YEAR YEARS JAHR JAHRE A AN ANS ANNI ANOS AÑOS"],
    ] as const
  ).flatMap(([perYear, names]) => names.split(" ").map((name) => [name, perYear] as const)),
);

/** Age in years from Patient's Age (VR AS), else from the dates of birth and study. */
function age(header: DataSet): number | null {
  const stated = AGE.exec(text(header, TAG.age) ?? "");
  const perYear = stated && (stated[2] ? UNITS.get(stated[2]) : 1);
  if (stated && perYear) {
    const number = Number(stated[1]!.replace(",", "."));
    // Some systems write 000Y for an unknown age.
    if (number || perYear > 100) return number / perYear <= 130 ? number / perYear : null;
  }
  const born = date(text(header, TAG.birthDate));
  const studied = TAG.dates.map((tag) => date(text(header, tag))).find((day) => day !== null) ?? null;
  if (born === null || studied === null) return null;
  const years = Math.floor(((studied - born) / 86_400_000 / 365.25) * 10) / 10;
  return years >= 0 && years <= 130 ? years : null;
}

/** A date (VR DA) in milliseconds, also in the form of ACR-NEMA (2015.03.01) or ISO 8601; null where there is none. */
function date(written: string | null): number | null {
  const match = /^(\d{4})([.-]?)(\d{2})\2(\d{2})$/.exec(written ?? "");
  if (!match) return null;
  const day = new Date(Date.UTC(Number(match[1]), Number(match[3]) - 1, Number(match[4])));
  return day.getUTCMonth() === Number(match[3]) - 1 && day.getUTCDate() === Number(match[4]) ? day.getTime() : null;
}

/** A code string (VR CS): capitals, digits, space and underscore, at most 16 characters. */
const CODE = /^[A-Z0-9 _]{1,16}$/;

function code(header: DataSet, tag: string): string | null {
  const value = text(header, tag);
  return value && CODE.test(value) ? value : null;
}

/** A text element in capitals; `root` is the data set that states the character set of an item. */
function text(header: DataSet, tag: string, root = header): string | null {
  try {
    const element = header.elements[tag];
    if (!element || element.length === 0) return null;
    const value = decoded(bytesOf(header, element), root.string(TAG.characterSet) ?? "");
    return value.replaceAll("\0", "").trim().toUpperCase() || null;
  } catch {
    return null;
  }
}

const NUMBER_AS_TEXT: ReadonlySet<string> = new Set([TAG.frames]);

/** An integer element; the default if it is absent or empty, null if it is malformed. */
function integer(header: DataSet, tag: string, byDefault: number | null = null): number | null {
  const element = header.elements[tag];
  if (!element || element.length === 0) return byDefault;
  if (NUMBER_AS_TEXT.has(tag) || element.vr === "IS" || element.vr === "DS") {
    const value = Number(text(header, tag) ?? "x");
    return Number.isInteger(value) ? value : null;
  }
  try {
    if (element.vr === "UL") return header.uint32(tag) ?? null;
    // Several values count as one if they are equal or 0, as of a number in twice its bytes.
    const distinct = new Set(Array.from({ length: element.length >> 1 }, (_, i) => header.uint16(tag, i) ?? 0));
    distinct.delete(0);
    return distinct.size > 1 ? null : ([...distinct][0] ?? 0);
  } catch {
    return null;
  }
}

/** 16-bit words of an element. */
function shorts(dataSet: DataSet, tag: string, little: boolean): Uint16Array {
  const element = dataSet.elements[tag];
  if (!element) return new Uint16Array(0);
  const bytes = bytesOf(dataSet, element);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: bytes.length >> 1 }, (_, i) => view.getUint16(2 * i, little));
}

function bytesOf(dataSet: DataSet, element: Element): Uint8Array {
  return dataSet.byteArray.subarray(element.dataOffset, element.dataOffset + element.length) as Uint8Array;
}

function ascii(data: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...data.subarray(start, start + length));
}

