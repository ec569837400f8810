/** Words for views and body parts, read from headers: the table of `tests/reading/dicom/test_vocabulary.py`. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { findFlags } from "@nanoray/web/detecting/flags";
import { read } from "@nanoray/web/reading/read";

import { VECTORS } from "../support/detector";
import { dicom, type Item } from "../support/dicom";

type Kind = "lateral" | "frontal" | "oblique" | "chest" | "other";
type Stated = Readonly<Record<string, readonly string[]>>;
type Encoded = readonly [keyword: string, charset: string, hex: string, note: string, kind: Kind];

const { encoded, ages, children, ...kinds } = JSON.parse(readFileSync(path.join(VECTORS, "headers.json"), "utf8")) as Readonly<
  Record<Kind, Stated>
> & { readonly encoded: readonly Encoded[]; readonly ages: readonly (readonly [string, number | null])[] } & {
  readonly children: Readonly<Record<"child" | "unsaid", Stated>>;
};

const FLAGS: Readonly<Record<Kind, readonly string[]>> = {
  lateral: ["lateral-view"],
  frontal: [],
  oblique: ["oblique-view"],
  chest: [],
  other: ["other-body-part"],
};
const TAGS: Readonly<Record<string, readonly [tag: string, vr: string]>> = {
  BodyPartExamined: ["00180015", "CS"],
  SeriesDescription: ["0008103e", "LO"],
  StudyDescription: ["00081030", "LO"],
  ProtocolName: ["00181030", "LO"],
  RequestedProcedureDescription: ["00321060", "LO"],
  PerformedProcedureStepDescription: ["00400254", "LO"],
  ViewPosition: ["00185101", "CS"],
};

const facts = async (changes: Item) => (await read(dicom(changes))).facts;
const flags = async (changes: Item) => findFlags(await facts(changes), 0.2).filter((flag) => flag !== "tiny-image");

function stated(keyword: string, charset: string, value: Uint8Array): Item {
  const [tag, vr] = TAGS[keyword]!;
  const even = new Uint8Array(value.length + (value.length % 2)).fill(0x20);
  even.set(value);
  return { [tag]: [vr, even], ...(charset ? { "00080005": ["CS", charset] } : {}) };
}

const rows = (Object.keys(kinds) as Kind[]).flatMap((kind) =>
  Object.entries(kinds[kind]).flatMap(([keyword, values]) => values.map((value) => [kind, keyword, value] as const)),
);

test.each(rows)("%s: %s %s", async (kind, keyword, value) => {
  const bytes = Uint8Array.from(Buffer.from(value));
  const charset = bytes.some((byte) => byte > 0x7f) ? "ISO_IR 192" : "";
  expect(await flags(stated(keyword, charset, bytes))).toEqual(FLAGS[kind]);
});

test.each(encoded)("%s %s %s: %s", async (keyword, charset, hex, _note, kind) => {
  expect(await flags(stated(keyword, charset, Uint8Array.from(Buffer.from(hex, "hex"))))).toEqual(FLAGS[kind]);
});

const ofChildren = (Object.keys(children) as (keyof typeof children)[]).flatMap((kind) =>
  Object.entries(children[kind]).flatMap(([keyword, values]) => values.map((value) => [kind, keyword, value] as const)),
);

test.each(ofChildren)("%s: %s %s", async (kind, keyword, value) => {
  const bytes = Uint8Array.from(Buffer.from(value));
  const charset = bytes.some((byte) => byte > 0x7f) ? "ISO_IR 192" : "";
  const item = { ...stated(keyword, charset, bytes), "00100030": ["DA", ""] } as const;
  expect((await flags(item)).includes("child")).toBe(kind === "child");
  // A stated age decides.
  expect(await flags({ ...item, "00101010": ["AS", "045Y"] })).not.toContain("child");
  expect(await flags({ ...item, "00101010": ["AS", "005Y"] })).toContain("child");
});

test.each(ages)("age %s", async (written, years) => {
  const stored = new Uint8Array(Buffer.from(written.length % 2 ? `${written} ` : written, "latin1"));
  const found = (await facts({ "00101010": ["AS", stored], "00100030": ["DA", ""] })).ageYears;
  if (years === null) expect(found).toBeNull();
  else expect(found).toBeCloseTo(years, 3);
});

test.each(["20150301", "2015.03.01", "2015-03-01"])("birth date %s", async (birth) => {
  const dates = (tag: string): Item => ({ "00100030": ["DA", birth], "00080020": ["DA", ""], [tag]: ["DA", "20240301"] });
  for (const tag of ["00080020", "00080021", "00080022", "00080023"]) {
    expect((await facts({ "00101010": ["AS", ""], ...dates(tag) })).ageYears).toBeCloseTo(9, 1);
  }
});

test("Patient Orientation rules over a frontal view", async () => {
  const orientation = (view: string, directions: string): Item => ({
    "00185101": ["CS", view],
    "00200020": ["CS", directions],
  });
  expect((await facts(orientation("PA", "A\\F"))).view).toBe("LATERAL");
  expect((await facts(orientation("AP", "P\\F"))).view).toBe("LATERAL");
  expect((await facts(orientation("RL", "A\\F"))).view).toBe("RL");
  expect((await facts(orientation("RAO", "A\\F"))).view).toBe("RAO");
  expect((await facts(orientation("PA", "L\\F"))).view).toBe("PA");
});

test.each([
  ["TÓRAX", "CHEST"],
  ["LENDENWIRBELSAEULE", "LENDENWIRBELSAEU"],
  ["Brust- und Lendenwirbelsäule", "SPINE OR STERNUM"],
])("body part %s is shown as %s", async (written, part) => {
  expect((await facts(stated("BodyPartExamined", "", Uint8Array.from(Buffer.from(written))))).bodyPart).toBe(part);
});

test.each([
  ["LL\\LL", "LL"],
  ["Perfil (SMITH)", "LATERAL"],
  ["L. SMITH", null],
])("view %s is written as %s", async (written, view) => {
  expect((await facts(stated("ViewPosition", "", Uint8Array.from(Buffer.from(written))))).view).toBe(view);
});
