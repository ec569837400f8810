/** Codes and words: the same codes as Python, and the same words in every language. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { FLAGS, findFlags } from "@nanoray/web/detecting/flags";
import ar from "@/i18n/ar.json";
import en from "@/i18n/en.json";
import refusals from "@nanoray/web/reading/refusals.json";
import { type Facts, plainFacts } from "@nanoray/web/reading/radiograph";

import { REPOSITORY } from "../support/detector";

const python = (file: string) => readFileSync(path.join(REPOSITORY, "src/nanoray", file), "utf8");

function keys(value: unknown, inside = ""): string[] {
  if (typeof value !== "object" || value === null) return [inside];
  return Object.entries(value).flatMap(([key, inner]) => keys(inner, inside ? `${inside}.${key}` : key));
}

// Arabic has forms of the plural that English lacks (CLDR).
const singular = (names: string[]) => [...new Set(names.map((name) => name.replace(/_(zero|one|two|few|many|other)$/, "")))];
const blanks = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).sort();

function at(words: unknown, name: string): string {
  return String(name.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], words));
}

test("every word is there in both languages, with the same blanks", () => {
  expect(singular(keys(ar)).sort()).toEqual(singular(keys({ ...en, refusals })).sort());
  for (const name of keys(en).filter((key) => !/^history\.(count|deleted)_/.test(key))) {
    expect([name, blanks(at(ar, name))]).toEqual([name, blanks(at(en, name))]);
  }
  for (const name of keys(ar).filter((key) => !/^app\.title|pick\.refused$|history\.(count|deleted)_/.test(key))) {
    expect([name, at(ar, name)]).toEqual([name, expect.stringMatching(/[\u0600-\u06ff]/)]);
  }
});

test("refusals are Python's", () => {
  const codes = new Set([...python("reading/refusals.py").matchAll(/^ {8}"([a-z0-9-]+)":/gm)].map((match) => match[1]));
  expect(codes.size).toBeGreaterThan(50);
  // Refusals of phones and browsers only: what the platform cannot decode or read.
  const own = new Set(["heic", "picture-format", "read-failed", "modality-lut", "voi-lut"]);
  expect(Object.keys(refusals).filter((code) => !codes.has(code) && !own.has(code))).toEqual([]);
});

test("flags are Python's, and one more", () => {
  const words = [...python("detecting/flags.py").matchAll(/^ {8}"([a-z-]+)": "(.+)",$/gm)];
  expect(words.map((match) => match[1])).toEqual(FLAGS.filter((flag) => flag !== "photograph"));
  for (const [, flag, word] of words) expect(en.flags[flag as keyof typeof en.flags]).toBe(word);
});

test("flags of facts", () => {
  const facts = (changes: Partial<Facts>): Facts => ({ ...plainFacts("DICOM", 1000, 1000, 12, false), ...changes });
  expect(findFlags(facts({}), 0.2)).toEqual([]);
  expect(findFlags(facts({ view: "LL" }), 0.2)).toEqual(["lateral-view"]);
  expect(findFlags(facts({ bodyPart: "HAND", modality: "MR" }), 0.2)).toEqual(["other-body-part", "other-modality"]);
  expect(findFlags(facts({ bodyPart: "CHEST PA", modality: "DX", ageYears: 7 }), 0.2)).toEqual(["child"]);
  expect(findFlags(facts({ view: "PA LAT", bodyPart: "ΘΩΡΑΚΑΣ" }), 0.2)).toEqual([]);
  expect(findFlags(facts({ view: "LAT ERECT", bodyPart: "CHEST SPINE" }), 0.2)).toEqual(["lateral-view", "other-body-part"]);
  expect(findFlags(facts({ forProcessing: true, orientation: 6 }), 0.2)).toEqual(["for-processing", "turned"]);
  expect(findFlags(facts({ orientation: 2 }), 0.2)).toEqual(["turned"]);
  expect(findFlags(facts({ rows: 200, colour: true }), 0.01)).toEqual(["colour", "low-contrast", "tiny-image"]);
  expect(findFlags(plainFacts("photograph", 900, 900, 8, false), 0.2)).toEqual(["photograph"]);
});
