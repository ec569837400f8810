/** PNG and JPEG: depths, palettes, opacity, orientation, and what is refused. */

import { encode as encodePng } from "fast-png";

import { turn } from "@nanoray/web/reading/orientation";
import { open, read } from "@nanoray/web/reading/read";
import { Refusal } from "@nanoray/web/reading/refusals";

import { bytes, VECTORS } from "../support/detector";

const code = (file: Uint8Array) =>
  read(file).then(
    () => "read",
    (error: unknown) => (error instanceof Refusal ? error.code : `threw ${String(error)}`),
  );
const png = (data: number[], channels: 1 | 2 | 3 | 4, width = data.length / channels) =>
  encodePng({ data: Uint8Array.from(data), width, height: data.length / channels / width, channels, depth: 8 });
// 178 x 180.
const jpeg = () => bytes(`${VECTORS}/inputs/grey.jpg`);

test("grey, colour and opacity of 8 bits", async () => {
  const grey = await read(png([0, 51, 255], 1));
  expect(Array.from(grey.pixels.data)).toEqual([0, Math.fround(0.2), 1]);
  const colour = await read(png([255, 0, 0, 0, 255, 0], 3));
  expect(colour.pixels.data[1]).toBeCloseTo(0.587, 5);
  expect(colour.facts.colour).toBe(true);
  const clear = await read(png([255, 0, 255, 255], 2));
  expect(Array.from(clear.pixels.data)).toEqual([0, 1]);
});

test("16 bits are stretched between percentiles", async () => {
  const data = Uint16Array.from({ length: 1000 }, (_, i) => 1000 + i);
  const { pixels, facts } = await read(encodePng({ data, width: 100, height: 10, channels: 1, depth: 16 }));
  expect(facts.bitsStored).toBe(16);
  expect(pixels.data[0]).toBe(0);
  expect(pixels.data[500]).toBeCloseTo(0.5, 2);
  expect(pixels.data[999]).toBe(1);
});

test("a JPEG, and its orientation", async () => {
  const plain = jpeg();
  const { facts } = await read(plain);
  expect(facts).toMatchObject({ format: "JPEG", rows: 180, columns: 178, colour: false });
  const exif = [
    ...[0xff, 0xe1, 0, 34, 0x45, 0x78, 0x69, 0x66, 0, 0, 0x49, 0x49, 42, 0, 8, 0, 0, 0],
    ...[1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
  ];
  const turned = await read(Uint8Array.from([...plain.subarray(0, 2), ...exif, ...plain.subarray(2)]));
  expect(turned.facts).toMatchObject({ rows: 178, columns: 180 });
});

test("all eight orientations put the same corner where Exif says", () => {
  const image = { data: Float32Array.from([1, 2, 3, 4, 5, 6]), rows: 2, columns: 3 };
  const wanted: Readonly<Record<number, string>> = {
    1: "123/456",
    2: "321/654",
    3: "654/321",
    4: "456/123",
    5: "14/25/36",
    6: "41/52/63",
    7: "63/52/41",
    8: "36/25/14",
  };
  for (const [orientation, rows] of Object.entries(wanted)) {
    const { data, columns } = turn(image, Number(orientation));
    const found = Array.from(data).join("").match(new RegExp(`.{${columns}}`, "g"))?.join("/");
    expect([orientation, found]).toEqual([orientation, rows]);
  }
});

/** A file of these first bytes, then zeros. */
function beginning(bytes: string): Uint8Array {
  const file = new Uint8Array(512);
  file.set(Array.from(bytes, (letter) => letter.charCodeAt(0)));
  return file;
}

test.each<[string, Uint8Array, string]>([
  ["an empty file", new Uint8Array(0), "empty-file"],
  ["words", new TextEncoder().encode("not an image at all, only words"), "not-an-image"],
  ["a PDF", new TextEncoder().encode("%PDF-1.7 and more"), "document"],
  ["an archive", Uint8Array.from([0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]), "archive"],
  ["a GIF", new TextEncoder().encode("GIF89a and more bytes"), "unsupported-format"],
  ["a bitmap", Uint8Array.from([0x42, 0x4d, ...Array<number>(12).fill(0), 40, 0, 0, 0, 1, 0]), "unsupported-format"],
  ["words like a bitmap", new TextEncoder().encode("BMI of the patient, and more words"), "not-an-image"],
  ["a sound", new TextEncoder().encode("RIFF    WAVEfmt and so on"), "not-an-image"],
  ["a TIFF", Uint8Array.from([0x49, 0x49, 42, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]), "unsupported-format"],
  ["a BigTIFF", beginning("II+\0\b\0\0\0"), "unsupported-format"],
  ["a big-endian BigTIFF", beginning("MM\0+\0\b\0\0"), "unsupported-format"],
  ["a JPEG 2000 codestream", beginning("\xff\x4f\xff\x51\0\x29"), "unsupported-format"],
  ["an empty ZIP archive", beginning("PK\x05\x06"), "archive"],
  ["a bzip2 archive", beginning("BZh91AY&SY"), "archive"],
  ["an xz archive", beginning("\xfd7zXZ\0\0\x04"), "archive"],
  ["a Zstandard archive", beginning("\x28\xb5\x2f\xfd\x04"), "archive"],
  ["a tar archive", beginning(`radiographs/${"\0".repeat(245)}ustar`), "archive"],
  ["a RAR archive", beginning("Rar!\x1a\x07\x01\0"), "archive"],
  ["a PNG cut short", png(Array.from({ length: 4096 }, (_, i) => (i * i * 7919) % 251), 1, 64).subarray(0, 300), "raster-truncated"],
  ["a JPEG cut short", jpeg().subarray(0, 640), "raster-truncated"],
  ["a JPEG of nothing but its beginning", Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0]), "raster-header"],
])("refuses %s", async (_, file, wanted) => {
  expect(await code(file)).toBe(wanted);
});

test("refuses a PNG whose header says more than 50 megapixels, and one whose data is a bomb", async () => {
  const lying = png([1, 2, 3, 4], 1).slice();
  new DataView(lying.buffer).setUint32(16, 60_000);
  new DataView(lying.buffer).setUint32(20, 60_000);
  expect(await code(lying)).toBe("too-many-pixels");
  const bomb = png(Array<number>(1_000_000).fill(0), 1, 1000).slice();
  new DataView(bomb.buffer).setUint32(16, 2);
  new DataView(bomb.buffer).setUint32(20, 2);
  expect(await code(bomb)).toBe("raster-damaged");
});

test("random bytes and damaged files are refused or read, and never throw anything else", async () => {
  let state = 12_345;
  const random = () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  const whole = [png([...Array(300).keys()].map((i) => i % 256), 3, 10), jpeg()];
  for (let round = 0; round < 300; round++) {
    const source = whole[round % 3];
    const file = source ? source.slice() : Uint8Array.from({ length: 1 + Math.floor(random() * 600) }, () => random() * 256);
    for (let i = 0; i < 1 + round / 20; i++) file[Math.floor(random() * file.length)] = random() * 256;
    expect(await code(file.subarray(0, 1 + Math.floor(random() * file.length)))).toMatch(/^[a-z0-9-]+$/);
  }
});

test("JPEG of 12 bits", async () => {
  // Two blocks: a mean of 0 (mid grey) and one 16 steps of 8 brighter; tables of one code each.
  const segment = (marker: number, ...data: number[]) => [0xff, marker, 0, data.length + 2, ...data];
  const dc = [0, 2, ...Array<number>(14).fill(0), 0, 7]; // 00: no bits, 01: seven bits
  const file = Uint8Array.from([
    ...[0xff, 0xd8],
    ...segment(0xdb, 0, ...Array<number>(64).fill(8)),
    ...segment(0xc1, 12, 0, 8, 0, 16, 1, 1, 0x11, 0),
    ...segment(0xc4, 0x00, ...dc),
    ...segment(0xc4, 0x10, 0, 1, ...Array<number>(14).fill(0), 0), // 00: the block ends
    ...segment(0xda, 1, 1, 0x00, 0, 63, 0),
    // 00, end 00, 01, seven bits of 100, end 00, filled with ones
    ...[0b0000_0111, 0b0010_0001],
    ...[0xff, 0xd9],
  ]);
  const { facts, pixels } = await read(file);
  expect(facts).toMatchObject({ format: "JPEG", rows: 8, columns: 16, bitsStored: 12 });
  // 2048 and 2048 + 100 * 8 / 8, stretched between the percentiles.
  expect(pixels.data[0]).toBe(0);
  expect(pixels.data[15]).toBe(1);
  expect(await code(file.subarray(0, file.length - 3))).toBe("raster-truncated");
});

test("what the platform decodes is read with its help, and refused with advice without it", async () => {
  const ascii = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0));
  const webp = Uint8Array.from([...ascii("RIFF"), 0, 0, 0, 0, ...ascii("WEBPVP8 ")]);
  const heic = Uint8Array.from([0, 0, 0, 20, ...ascii("ftypmif1"), 0, 0, 0, 0, ...ascii("heic")]);
  const avif = Uint8Array.from([0, 0, 0, 20, ...ascii("ftypavif"), 0, 0, 0, 0, ...ascii("mif1")]);
  expect(await Promise.all([webp, heic, avif].map(code))).toEqual(["picture-format", "heic", "picture-format"]);
  const seen: string[] = [];
  const decode = (_: Uint8Array, format: string) => {
    seen.push(format);
    return Promise.resolve({ data: Uint8Array.from([10, 10, 10, 255, 90, 90, 90, 255]), rows: 1, columns: 2 });
  };
  for (const file of [webp, heic, avif]) {
    const { pixels, facts } = await read(file, decode);
    expect(pixels.data[1]).toBeCloseTo(90 / 255, 6);
    expect(facts.colour).toBe(false);
  }
  expect(seen).toEqual(["WebP", "HEIC", "AVIF"]);
  // Phones write HEIC: it is a photograph whatever it looks like.
  expect((await open(heic, decode)).kind).toBe("photograph");
  expect((await open(webp, decode)).kind).toBe("radiograph");
});
