/** Small DICOM files, made to order. */

export type Value = number | string | Uint8Array | Uint16Array | readonly Item[];
export type Item = Readonly<Record<string, readonly [vr: string, value: Value]>>;

export const EXPLICIT = "1.2.840.10008.1.2.1";
const LONG = new Set(["OB", "OW", "SQ", "UN", "UT"]);

/** A 4 x 4 image of 8 bits whose samples rise from 0 to 15; changes replace or add elements. */
export function elements(changes: Item = {}): Item {
  return {
    "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.1.1"],
    "00080060": ["CS", "DX"],
    "00280002": ["US", 1],
    "00280004": ["CS", "MONOCHROME2"],
    "00280010": ["US", 4],
    "00280011": ["US", 4],
    "00280100": ["US", 8],
    "00280101": ["US", 8],
    "00280102": ["US", 7],
    "00280103": ["US", 0],
    "7fe00010": ["OB", Uint8Array.from({ length: 16 }, (_, i) => i)],
    ...changes,
  };
}

/** A file in explicit VR little endian. */
export function dicom(changes: Item = {}, { syntax = EXPLICIT, preamble = true } = {}): Uint8Array {
  const meta = dataSet({ "00020010": ["UI", syntax] });
  const body = dataSet(elements(changes));
  if (!preamble) return body;
  const file = new Uint8Array(132 + meta.length + body.length);
  file.set([0x44, 0x49, 0x43, 0x4d], 128);
  file.set(meta, 132);
  file.set(body, 132 + meta.length);
  return file;
}

/** Encapsulated pixel data: an empty offset table and one fragment for each frame. */
export function encapsulated(...frames: readonly Uint8Array[]): Uint8Array {
  const parts: number[] = [0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0];
  for (const frame of frames) {
    const even = frame.length + (frame.length % 2);
    parts.push(0xfe, 0xff, 0x00, 0xe0, even & 0xff, (even >> 8) & 0xff, even >> 16, 0, ...frame);
    if (frame.length % 2) parts.push(0);
  }
  return Uint8Array.from([...parts, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
}

function dataSet(item: Item): Uint8Array {
  const bytes: number[] = [];
  for (const tag of Object.keys(item).sort()) {
    const [vr, value] = item[tag]!;
    const content = encode(vr, value);
    const [group, element] = [parseInt(tag.slice(0, 4), 16), parseInt(tag.slice(4), 16)];
    bytes.push(group & 0xff, group >> 8, element & 0xff, element >> 8, vr.charCodeAt(0), vr.charCodeAt(1));
    const undefinedLength = tag === "7fe00010" && content[0] === 0xfe && content[1] === 0xff;
    const length = undefinedLength ? 0xffffffff : content.length;
    if (LONG.has(vr)) bytes.push(0, 0, length & 0xff, (length >>> 8) & 0xff, (length >>> 16) & 0xff, length >>> 24);
    else bytes.push(length & 0xff, length >> 8);
    for (const byte of content) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function encode(vr: string, value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Uint16Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (typeof value === "number") return Uint8Array.from([value & 0xff, (value >> 8) & 0xff]);
  if (typeof value === "string") {
    const padded = value.length % 2 ? value + (vr === "UI" ? "\0" : " ") : value;
    return Uint8Array.from(padded, (letter) => letter.charCodeAt(0));
  }
  return Uint8Array.from(
    value.flatMap((item) => {
      const content = dataSet(item);
      return [0xfe, 0xff, 0x00, 0xe0, content.length & 0xff, content.length >> 8, 0, 0, ...content];
    }),
  );
}
