/** A result as JSON and as a printable page. */

import { type ColourPicture, outline } from "@nanoray/web/detecting/heatmap";

import { formatFor } from "@/i18n/format";
import { direction, i18next } from "@/i18n";
import type { HistoryRecord } from "@/history/record";

/** The JSON that is shared: the names of `nanoray predict --format json` where both have a field. */
export function toJson(records: readonly HistoryRecord[]): string {
  const results = records.map(({ name, date, prediction }) => ({
    source: name,
    date,
    probability: Number.isFinite(prediction.probability) ? prediction.probability : null,
    decision: prediction.decision,
    view: prediction.view ?? null,
    guarantee: prediction.guarantee ?? null,
    clear_below: prediction.clearBelow ?? null,
    threshold: prediction.threshold,
    operating_point: prediction.operatingPoint,
    logit: prediction.logit,
    novelty: prediction.novelty,
    novelty_limit: prediction.noveltyLimit,
    flags: prediction.flags,
    model: prediction.model,
    model_version: prediction.modelVersion,
    target: prediction.target,
    facts: prediction.facts,
    heatmap: rowsOf(prediction.heatmap),
  }));
  const notice = i18next.t("app.notice", { lng: "en" });
  return `${JSON.stringify({ notice, results }, null, 2)}\n`;
}

function rowsOf({ data, rows, columns }: { data: Float32Array; rows: number; columns: number }): number[][] {
  return Array.from({ length: rows }, (_, row) =>
    Array.from(data.subarray(row * columns, (row + 1) * columns), (value) => Math.round(value * 1e4) / 1e4),
  );
}

/** A line of the report: what it is, and its value. */
export type Line = readonly [string, string];

/** The lines of a report, in the reader's language. */
export function reportLines(record: HistoryRecord, language: string): Line[] {
  const t = i18next.getFixedT(language);
  const format = formatFor(language);
  const { prediction } = record;
  const abstained = prediction.decision === "abstained";
  return [
    [t("result.facts"), record.name],
    [t("nav.result"), t(`decisions.${prediction.decision}`)],
    [t("result.probability"), abstained ? t("result.abstainedValue") : format.percent(prediction.probability)],
    [
      t("pick.operatingPoint"),
      `${t(`points.${prediction.operatingPoint}`, { defaultValue: prediction.operatingPoint })} (${format.decimal(prediction.threshold, 3)})`,
    ],
    [t("result.view"), prediction.view ?? t("result.viewUnknown")],
    [t("result.flags"), prediction.flags.map((flag) => t(`flags.${flag}`)).join(", ") || t("result.noFlags")],
    [t("about.model"), `${prediction.model} ${prediction.modelVersion}`],
    [t("about.target"), prediction.target],
    ["", format.date(record.date)],
  ];
}

/** The report as a page, with the pictures given by their addresses; no outline where there is none. */
export function reportHtml(
  record: HistoryRecord,
  language: string,
  pictures: { radiograph: string; outline: string | null },
): string {
  const t = i18next.getFixedT(language);
  const rows = reportLines(record, language)
    .map(([name, value]) => `<tr><th>${escape(name)}</th><td dir="auto">${escape(value)}</td></tr>`)
    .join("");
  const outlined = pictures.outline
    ? `<figure><div class="picture"><img src="${pictures.radiograph}" alt=""><img src="${pictures.outline}" alt=""></div>` +
      `<figcaption>${escape(t("result.mapLegend"))}</figcaption></figure>`
    : "";
  return `<!doctype html>
<html lang="${language}" dir="${direction(language)}">
<meta charset="utf-8">
<title>NanoRay</title>
<style>
body { font: 12pt system-ui, sans-serif; margin: 18mm; color: #14181f }
.notice { background: #fff3d6; padding: 3mm; font-weight: bold }
.pictures { display: flex; gap: 6mm; margin: 6mm 0 }
figure { flex: 1; margin: 0 }
.picture { position: relative; background: #000 }
.picture img { display: block; width: 100% }
.picture img + img { position: absolute; inset: 0 }
figcaption { font-size: 10pt; color: #4e5868 }
th { text-align: start; padding-inline-end: 6mm; vertical-align: top; white-space: nowrap }
</style>
<h1>NanoRay</h1>
<p class="notice">${escape(t("app.notice"))}</p>
<div class="pictures">
<figure><div class="picture"><img src="${pictures.radiograph}" alt=""></div></figure>
${outlined}
</div>
<table>${rows}</table>
</html>`;
}

function escape(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (letter) => entities[letter] ?? letter);
}

/** The outline of a result's suspect area over its picture; null for none, and where it abstained. */
export function outlineOf({ prediction }: HistoryRecord): ColourPicture | null {
  if (prediction.decision === "abstained") return null;
  const { picture, heatmap, threshold } = prediction;
  return outline(heatmap, threshold, picture.rows, picture.columns);
}

/** A name for the file that is shared. */
export function fileName(records: readonly HistoryRecord[], ending: string): string {
  const stamp = (records[0]?.date ?? new Date().toISOString()).replace(/[^0-9]/g, "").slice(0, 14);
  return `nanoray-${stamp}.${ending}`;
}
