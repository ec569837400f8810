/** DICOM: the greyscale pipeline and the refusals. */

import { deflateSync } from "fflate";

import { read } from "@nanoray/web/reading/read";
import { Refusal } from "@nanoray/web/reading/refusals";

import { dicom, encapsulated, type Item } from "../support/dicom";

const pixels = async (file: Uint8Array) => Array.from((await read(file)).pixels.data);
const code = (file: Uint8Array) =>
  read(file).then(
    () => "read",
    (error: unknown) => (error instanceof Refusal ? error.code : `threw ${String(error)}`),
  );
const words = (...values: number[]) => Uint16Array.from(values);
const sixteen = (values: Uint16Array, changes: Item = {}): Item => ({
  "00280100": ["US", 16],
  "00280101": ["US", 16],
  "00280102": ["US", 15],
  "7fe00010": ["OW", values],
  ...changes,
});

test("8 bits keep their whole range", async () => {
  expect((await pixels(dicom()))[15]).toBeCloseTo(15 / 255, 6);
});

test("MONOCHROME1 is turned over", async () => {
  const grey = await pixels(dicom({ "00280004": ["CS", "MONOCHROME1"] }));
  expect(grey[0]).toBe(1);
  expect(grey[15]).toBeCloseTo(1 - 15 / 255, 6);
});

test.each([
  ["LINEAR", [0, 1 / 6, 1 / 2, 5 / 6]],
  ["LINEAR_EXACT", [0, 0.125, 0.375, 0.625]],
  ["SIGMOID", [1 / (1 + Math.exp(2.5)), 1 / (1 + Math.exp(1.5)), 1 / (1 + Math.exp(0.5)), 1 / (1 + Math.exp(-0.5))]],
])("window %s (PS3.3 C.11.2.1)", async (shape, wanted) => {
  const grey = await pixels(
    dicom({ "00281050": ["DS", "2.5\\40"], "00281051": ["DS", "4\\80"], "00281056": ["CS", shape] }),
  );
  wanted.forEach((value, i) => expect(grey[i]).toBeCloseTo(value, 6));
});

test.each(["0", "-3", "x", ""])("a window of width '%s' counts as none", async (width) => {
  const grey = await pixels(dicom({ "00281050": ["DS", "5"], "00281051": ["DS", width] }));
  expect(grey[15]).toBeCloseTo(15 / 255, 6);
});

test("rescale, then a VOI LUT whose ends hold beyond it", async () => {
  const table: Item = { "00283002": ["US", words(4, 10, 8)], "00283006": ["OW", Uint8Array.from([0, 51, 102, 255])] };
  const changes: Item = { "00281052": ["DS", "8"], "00281053": ["DS", "1"], "00283010": ["SQ", [table]] };
  const grey = await pixels(dicom(changes));
  expect(grey.slice(0, 7).map((value) => Math.round(value * 255))).toEqual([0, 0, 0, 51, 102, 255, 255]);
});

test("padding is black, and left out of the stretch", async () => {
  const values = words(60_000, ...Array.from({ length: 15 }, (_, i) => 100 + 20 * i));
  const grey = await pixels(dicom(sixteen(values, { "00280120": ["US", 60_000] })));
  expect(grey[0]).toBe(0);
  expect(grey[1]).toBe(0);
  expect(grey[15]).toBe(1);
});

test("signed samples below their allocated bits", async () => {
  const values = words(0x0f80, 0xf07f, ...Array<number>(14).fill(0));
  const changes = sixteen(values, {
    "00280101": ["US", 12],
    "00280102": ["US", 11],
    "00280103": ["US", 1],
    "00281050": ["DS", "0"],
    "00281051": ["DS", "257"],
  });
  const grey = await pixels(dicom(changes));
  expect(grey[0]).toBeCloseTo(0.5 / 256, 2); // -128
  expect(grey[1]).toBeCloseTo(1, 2); // 127, overlay bits above it left out
});

test.each<[string, Item]>([
  ["frames that are no number", { "00280008": ["IS", "many"] }],
  ["a slope of 0", { "00281053": ["DS", "0"] }],
  ["a lookup table without data", { "00283010": ["SQ", [{ "00283002": ["US", words(4, 0, 8)] }]] }],
  ["a window for another kind of image", { "00281050": ["DS", "-3000"], "00281051": ["DS", "400"] }],
])("%s changes nothing", async (_, changes) => {
  expect(await pixels(dicom(changes))).toEqual(await pixels(dicom()));
});

test.each<[string, Item, number[]]>([
  [
    "a rectangle",
    { "00181600": ["CS", "RECTANGULAR"], "00181602": ["IS", "2"], "00181604": ["IS", "3"], "00181606": ["IS", "2"], "00181608": ["IS", "4"] },
    [5, 6, 9, 10, 13, 14],
  ],
  ["a triangle", { "00181600": ["CS", "POLYGONAL"], "00181620": ["IS", "1\\1\\4\\1\\4\\4"] }, [0, 4, 5, 8, 9, 10, 12, 13, 14, 15]],
])("a shutter hides what lies outside %s", async (_, changes, open) => {
  const [whole, grey] = [await pixels(dicom()), await pixels(dicom(changes))];
  expect(grey).toEqual(whole.map((value, i) => (open.includes(i) ? value : 0)));
});

test("colour is seen, in both planar configurations", async () => {
  const colour: Item = { "00280002": ["US", 3], "00280004": ["CS", "RGB"], "00280010": ["US", 1], "00280011": ["US", 2] };
  const interleaved = dicom({ ...colour, "00280006": ["US", 0], "7fe00010": ["OB", Uint8Array.from([255, 0, 0, 0, 0, 255])] });
  const planes = dicom({ ...colour, "00280006": ["US", 1], "7fe00010": ["OB", Uint8Array.from([255, 0, 0, 0, 0, 255])] });
  for (const file of [interleaved, planes]) {
    const { pixels: grey, facts } = await read(file);
    expect(grey.data[0]).toBeCloseTo(0.299, 5);
    expect(grey.data[1]).toBeCloseTo(0.114, 5);
    expect(facts.colour).toBe(true);
  }
});

test("without a preamble, and deflated", async () => {
  expect(await pixels(dicom({}, { preamble: false }))).toEqual(await pixels(dicom()));
  const whole = dicom({}, { syntax: "1.2.840.10008.1.2.1.99" });
  const at = 132 + 8 + 22;
  const deflated = deflateSync(whole.subarray(at));
  const file = new Uint8Array(at + deflated.length);
  file.set(whole.subarray(0, at));
  file.set(deflated, at);
  expect(await pixels(file)).toEqual(await pixels(dicom()));
  expect(await code(file.subarray(0, at + 20))).toBe("deflate-truncated");
});

test("RLE", async () => {
  const frame = new Uint8Array(64 + 4);
  const view = new DataView(frame.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, 64, true);
  frame.set([257 - 8, 3, 257 - 8, 9], 64); // eight times 3, eight times 9
  const file = (content: Uint8Array) => dicom({ "7fe00010": ["OB", encapsulated(content)] }, { syntax: "1.2.840.10008.1.2.5" });
  expect((await pixels(file(frame))).map((value) => Math.round(value * 255))).toEqual([
    ...Array<number>(8).fill(3),
    ...Array<number>(8).fill(9),
  ]);
  expect(await code(file(frame.subarray(0, 66)))).toBe("decoder");
  view.setUint32(0, 2, true);
  expect(await code(file(frame))).toBe("codestream-samples");
});

test.each<[string, Item, string]>([
  ["no rows", { "00280010": ["US", new Uint8Array(0)] }, "size-missing"],
  ["zero rows", { "00280010": ["US", 0] }, "size-zero"],
  ["rows that lie", { "00280010": ["US", 9] }, "size-mismatch"],
  ["too large", { "00280010": ["US", 65_000], "00280011": ["US", 65_000] }, "too-many-pixels"],
  ["two samples", { "00280002": ["US", 2] }, "samples"],
  ["odd photometric", { "00280004": ["CS", "CMYK"] }, "photometric"],
  ["colour of one sample", { "00280004": ["CS", "RGB"] }, "photometric-samples"],
  ["nine allocated bits", { "00280100": ["US", 9] }, "bits"],
  ["more stored than allocated", { "00280101": ["US", 12] }, "bits"],
  ["odd representation", { "00280103": ["US", 7] }, "pixel-representation"],
  ["frames", { "00280008": ["IS", "2"] }, "frames-mismatch"],
  ["several frames", { "00280008": ["IS", "2"], "7fe00010": ["OB", new Uint8Array(32)] }, "multi-frame"],
  ["frames that are no number, and two of them", { "00280008": ["IS", "many"], "7fe00010": ["OB", new Uint8Array(32)] }, "frames-malformed"],
  ["an ambiguous slope", { "00281053": ["DS", "1,024"] }, "rescale"],
  ["empty", { "7fe00010": ["OB", new Uint8Array(0)] }, "empty-pixel-data"],
  ["palette without colours", { "00280004": ["CS", "PALETTE COLOR"] }, "palette"],
  ["native data in items", { "7fe00010": ["OB", encapsulated(new Uint8Array(16))] }, "native-but-compressed"],
  ["a bare JPEG under a native syntax", { "00280010": ["US", 99], "7fe00010": ["OB", Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 4, 0, 4, 1, 1, 17, 0, 0)] }, "native-but-compressed"],
  ["two different numbers of rows", { "00280010": ["US", Uint16Array.of(4, 5)] }, "size-missing"],
])("refuses: %s", async (_, changes, wanted) => {
  expect(await code(dicom(changes))).toBe(wanted);
});

test.each([
  ["1.2.840.10008.1.2.4.50", "codestream"],
  ["1.2.840.10008.1.2.4.90", "codestream"],
  ["1.2.840.10008.1.2.4.100", "video"],
  ["1.2.3", "transfer-syntax"],
])("refuses what is not %s", async (syntax, wanted) => {
  expect(await code(dicom({ "7fe00010": ["OB", encapsulated(new Uint8Array(40))] }, { syntax }))).toBe(wanted);
});

test.each([
  ["1.2.840.10008.5.1.4.1.1.88.11", "structured-report"],
  ["1.2.840.10008.5.1.4.1.1.104.1", "encapsulated-document"],
  ["1.2.840.10008.5.1.4.1.1.1.1", "no-pixel-data"],
  ["1.2.840.10008.5.1.4.34.7", "non-image"],
])("refuses a file without an image: %s", async (sopClass, wanted) => {
  const changes = { "00080016": ["UI", sopClass] as const, "7fe00010": ["OB", new Uint8Array(16)] as const };
  const file = dicom(changes);
  expect(await code(file.subarray(0, file.length - 28))).toBe(wanted);
});

test("refuses pixel data that is cut short", async () => {
  const file = dicom();
  expect(await code(file.subarray(0, file.length - 3))).toBe("truncated");
});

test("refuses sequences nested without end", async () => {
  const nest = (depth: number) => {
    const header = [0x40, 0x00, 0x75, 0x02, 0x53, 0x51, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff];
    return Uint8Array.from({ length: depth * header.length }, (_, i) => header[i % header.length]!);
  };
  const start = dicom().subarray(0, 132 + 8 + 20);
  const nested = nest(60_000);
  const file = new Uint8Array(start.length + nested.length);
  file.set(start);
  file.set(nested, start.length);
  expect(["nested-too-deep", "malformed-dicom"]).toContain(await code(file));
});

test("no header value gets out, whatever is refused", async () => {
  const named = { "00100010": ["PN", "DOE^JANE"], "00100020": ["LO", "4711"] } as const;
  const { facts } = await read(dicom(named));
  expect(JSON.stringify(facts)).not.toMatch(/DOE|4711/);
  const refusal = await read(dicom({ ...named, "00280010": ["US", 9] })).catch((error: unknown) => error);
  expect(String(refusal)).not.toMatch(/DOE|4711/);
});

test("ages and views", async () => {
  const { facts } = await read(
    dicom({ "00101010": ["AS", "018M"], "00185101": ["CS", "ll"], "00180015": ["CS", "CHEST"], "00100040": ["CS", "F"] }),
  );
  expect(facts).toMatchObject({ ageYears: 1.5, view: "LL", bodyPart: "CHEST", sex: "F" });
  const born = await read(dicom({ "00100030": ["DA", "20000101"], "00080020": ["DA", "20100701"] }));
  expect(born.facts.ageYears).toBe(10.4);
});
