/** The model card is read out of the file, whatever file it is. */

import { ModelFileError, operatingPoint, readCard, readMetadata } from "@nanoray/web/detecting/modelcard";

import { bytes, MODEL } from "../support/detector";

/** An ONNX file with nothing but one metadata entry. */
function modelWith(key: string, value: string): Uint8Array {
  const field = (number: number, content: Uint8Array) => {
    const length: number[] = [];
    let rest = content.length;
    for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
    return [number * 8 + 2, ...length, rest, ...content];
  };
  const utf8 = (text: string) => new TextEncoder().encode(text);
  return Uint8Array.from([8, 9, ...field(14, Uint8Array.from([...field(1, utf8(key)), ...field(2, utf8(value))]))]);
}

test("the packaged model's card", () => {
  const card = readCard(bytes(MODEL));
  expect(card.inputSize).toBeGreaterThan(0);
  expect(card.temperature).toBeGreaterThan(0);
  expect(card.operatingPoints.map(({ name }) => name)).toEqual(["screening", "balanced", "confirm"]);
  const thresholds = card.operatingPoints.map(({ threshold }) => threshold);
  expect([...thresholds].sort((a, b) => a - b)).toEqual(thresholds);
  expect(operatingPoint(card, null).name).toBe(card.defaultOperatingPoint);
  expect(operatingPoint(card, "confirm").name).toBe("confirm");
  expect(operatingPoint(card, "gone").name).toBe(card.defaultOperatingPoint);
  expect(card.notice).toMatch(/^Research use only/);
});

test("metadata of any file", () => {
  expect(readMetadata(modelWith("author", "Zoë"))).toEqual(new Map([["author", "Zoë"]]));
});

test.each([
  ["no model", new TextEncoder().encode("hello, world; this is no model")],
  ["cut short", bytes(MODEL).subarray(0, 5000)],
  ["another's model", modelWith("author", "x")],
  ["a card that is no JSON", modelWith("nanoray", "{")],
  ["a card that lacks fields", modelWith("nanoray", '{"format": 1, "name": "x"}')],
  ["a card of the future", modelWith("nanoray", '{"format": 2}')],
])("refuses %s", (_, model) => {
  expect(() => readCard(model)).toThrow(ModelFileError);
});
