/** Correction of the pose, and decisions with a guarantee. */

import { Detector } from "@nanoray/web/detecting/detector";
import { readCard } from "@nanoray/web/detecting/modelcard";
import type { Session } from "@nanoray/web/detecting/runtime";
import { turn } from "@nanoray/web/reading/orientation";
import { plainFacts, type Radiograph } from "@nanoray/web/reading/radiograph";

import { bytes, MODEL } from "../support/detector";

const model = bytes(MODEL);
const card = readCard(model);
const SURE = 9;

/** A network that returns these poses in turn, one logit, and the view AP. */
async function detectorThatSees(poses: readonly number[], logit = 0): Promise<{ detector: Detector; squares: Float32Array[] }> {
  const squares: Float32Array[] = [];
  const session: Session = {
    run(_, { data }) {
      const pose = Float32Array.from({ length: 5 }, (_one, i) => (i === poses[squares.length] ? SURE : 0));
      squares.push(data);
      return Promise.resolve({
        logit: { data: Float32Array.of(logit), dims: [1, 1] },
        cam: { data: new Float32Array(256), dims: [1, 1, 16, 16] },
        novelty: { data: Float32Array.of(0), dims: [1] },
        pose: { data: pose, dims: [1, 5] },
        view: { data: Float32Array.of(SURE), dims: [1, 1] },
      });
    },
  };
  return { detector: await Detector.load(model, () => Promise.resolve(session)), squares };
}

/** Brighter to the right and to the bottom, twice as high as wide. */
function radiograph(): Radiograph {
  const [rows, columns] = [2 * card.inputSize, card.inputSize];
  const data = Float32Array.from({ length: rows * columns }, (_, i) => 0.1 + 0.4 * ((i % columns) / columns) + (0.4 * i) / rows / columns);
  return { pixels: { data, rows, columns }, facts: plainFacts("PNG", rows, columns, 8, false) };
}

test.each([
  [1, 6],
  [2, 3],
  [3, 8],
])("a radiograph turned by %i quarter turns is turned back and judged again", async (pose, orientation) => {
  const { detector, squares } = await detectorThatSees([pose, 0]);
  const { decision, flags, facts, heatmap, picture } = await detector.predict(radiograph());
  expect(squares).toHaveLength(2);
  const side = card.inputSize;
  expect(squares[1]).toEqual(turn({ data: squares[0]!, rows: side, columns: side }, orientation).data);
  expect(decision).not.toBe("abstained");
  expect(flags).toContain("turned");
  expect(facts.orientation).toBe(orientation);
  const lying = pose % 2 === 1;
  for (const { rows, columns } of [facts, picture, heatmap]) expect(columns > rows).toBe(lying);
});

test("a negative is inverted back, and its padding stays black", async () => {
  const { detector, squares } = await detectorThatSees([4, 0]);
  const { flags } = await detector.predict(radiograph());
  expect(flags).toContain("inverted");
  expect(squares[1]![0]).toBe(0);
  const middle = (card.inputSize * card.inputSize + card.inputSize) / 2;
  expect(squares[1]![middle - 20]! > squares[1]![middle + 20]!).toBe(true);
});

test("an image that may be turned, without certainty, gets no decision", async () => {
  const { detector, squares } = await detectorThatSees([-1]);
  const { decision, reason } = await detector.predict(radiograph());
  expect(squares).toHaveLength(1);
  expect([decision, reason]).toEqual(["abstained", "pose"]);
});

test("with a guarantee, what is neither suspected nor clear enough is unsure", async () => {
  const [guarantee] = card.guarantees;
  const own = card.views.find(({ view }) => view === "AP")!;
  const { threshold } = own.operatingPoints.find(({ name }) => name === card.defaultOperatingPoint)!;
  const logitOf = (probability: number) => own.temperature * Math.log(probability / (1 - probability)) - own.shift;
  const below = guarantee!.clearBelow.AP!;
  for (const [probability, wanted] of [
    [below / 2, "no opacity suspected"],
    [(below + threshold) / 2, "unsure"],
    [(threshold + 1) / 2, "opacity suspected"],
  ] as const) {
    const { detector } = await detectorThatSees([0], logitOf(probability));
    const kept = await detector.predict(radiograph(), { guarantee: guarantee!.level });
    expect([kept.decision, kept.view, kept.clearBelow]).toEqual([wanted, "AP", below]);
    const { detector: plain } = await detectorThatSees([0], logitOf(probability));
    expect((await plain.predict(radiograph())).decision).toBe(wanted === "unsure" ? "no opacity suspected" : wanted);
  }
});
