/** Records in and out of storage, and what is shared. */

import { reportHtml, reportLines, toJson } from "@/exporting/report";
import { deserialise, newRecord, serialise } from "@/history/record";
import "@/i18n";

import { prediction } from "../support/prediction";

test("a record comes back as it was", () => {
  const record = newRecord("chest.dcm", prediction());
  const back = deserialise(serialise(record));
  expect(back).toEqual(record);
  expect(back.prediction.heatmap.data).toBeInstanceOf(Float32Array);
});

test("records have names of their own", () => {
  const now = new Date(0);
  expect(newRecord("a", prediction(), now).id).not.toBe(newRecord("a", prediction(), now).id);
});

test("JSON has Python's names, and the notice", () => {
  const shared = JSON.parse(toJson([newRecord("chest.dcm", prediction())])) as {
    notice: string;
    results: Record<string, unknown>[];
  };
  expect(shared.notice).toMatch(/^Research use only/);
  expect(shared.results[0]).toMatchObject({
    source: "chest.dcm",
    probability: 0.734,
    decision: "opacity suspected",
    operating_point: "balanced",
    model_version: "0.1.0",
    heatmap: [
      [0, 0.2],
      [0.5, 1],
    ],
  });
});

test("the page to print is in the reader's language, and holds no markup of a file's name", () => {
  const record = newRecord("<img src=x onerror=alert(1)>.png", prediction());
  const html = reportHtml(record, "ar", { radiograph: "data:,a", heatmap: "data:,b" });
  expect(html).toContain('dir="rtl"');
  expect(html).not.toContain("<img src=x");
  expect(html).toContain("للأبحاث فقط");
});

test("an abstention has no probability in a report", () => {
  const lines = reportLines(newRecord("a", prediction({ decision: "abstained" })), "en");
  expect(lines).toContainEqual(["Probability", "none: abstained"]);
});
