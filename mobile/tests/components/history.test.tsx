/** Records in storage, and exports. */

import { reportHtml, reportLines, toJson } from "@/exporting/report";
import { deserialise, entryOf, newRecord, serialise } from "@/history/record";
import { observed } from "@/history/changes";
import { MemoryHistory, NameIndex } from "@/history/memory";
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
  const html = reportHtml(record, "ar", { radiograph: "data:,a", outline: "data:,b" });
  expect(html).toContain('dir="rtl"');
  expect(html).not.toContain("<img src=x");
  expect(html).toContain("للأبحاث فقط");
});

test("an abstention has no probability in a report", () => {
  const lines = reportLines(newRecord("a", prediction({ decision: "abstained" })), "en");
  expect(lines).toContainEqual(["Probability", "none (abstained)"]);
});

test("a history in memory is paged, searched and emptied", async () => {
  const history = new MemoryHistory();
  for (let i = 0; i < 40; i++) {
    await history.put(newRecord(`Chest-${i}.dcm`, prediction(), new Date(1_700_000_000_000 + 1000 * i)));
  }
  const page = await history.search("", 30, 30);
  expect([page.total, page.entries.length]).toEqual([40, 10]);
  expect(page.entries[9]!.name).toBe("Chest-0.dcm");
  expect((await history.search("chest-3", 0, 30)).total).toBe(11);
  const [first] = page.entries;
  expect(await history.thumbnail(first!.id)).toMatchObject({ rows: 4, columns: 6 });
  await history.remove([first!.id]);
  expect((await history.search("", 0, 1)).total).toBe(39);
  await history.clear();
  expect(await history.search("", 0, 1)).toEqual({ entries: [], total: 0 });
});

test("those who list a history learn what became of it", async () => {
  const history = observed(new MemoryHistory());
  const told: unknown[] = [];
  const end = history.subscribe((gone) => told.push(gone));
  const record = newRecord("a", prediction());
  await history.put(record);
  await history.remove([record.id]);
  await history.clear();
  end();
  await history.put(record);
  expect(told).toEqual([null, [record.id], "all"]);
});

test("an index of names finds what a plain search finds, in any order of queries and changes", () => {
  const entry = (i: number) => entryOf({ ...newRecord(`Chest-${i}.dcm`, prediction(), new Date(1e12 - i)), id: String(i) });
  const all = Array.from({ length: 300 }, (_, i) => entry(i));
  const index = new NameIndex([...all]);
  const found = (query: string) => index.matching(query).map(({ id }) => id);
  const plain = (query: string) => all.filter(({ name }) => name.toLowerCase().includes(query.toLowerCase())).map(({ id }) => id);
  for (const query of ["c", "chest-1", "CHEST-12", "t-1", "12.", "", "nothing", "nothing at all", "9"]) {
    expect(found(query)).toEqual(plain(query));
  }
  index.remove(["9"]);
  expect(found("-9.")).toEqual([]);
  index.put(all[9]!);
  expect(found("")).toEqual(plain(""));
  index.put(all[9]!);
  expect(found("-9.")).toEqual(["9"]);
  index.clear();
  expect(found("")).toEqual([]);
});
