/** Sharing results by the browser's share sheet where it takes files, else as a download. */

import { type ColourPicture, windowed } from "@nanoray/web/detecting/heatmap";
import type { HistoryRecord } from "@/history/record";
import { direction, i18next } from "@/i18n";

import { fileName, outlineOf, reportLines, toJson } from "./report";

export async function shareJson(records: readonly HistoryRecord[]): Promise<void> {
  await share(new File([toJson(records)], fileName(records, "json"), { type: "application/json" }));
}

export async function sharePdf(record: HistoryRecord, language: string): Promise<void> {
  const bytes = await pdfOf(record, language);
  await share(new File([bytes], fileName([record], "pdf"), { type: "application/pdf" }));
}

async function share(file: File): Promise<void> {
  // On desks a share sheet for files is rare and a download is what people expect.
  const touch = window.matchMedia("(pointer: coarse)").matches;
  if (touch && navigator.canShare?.({ files: [file] })) {
    try {
      await navigator.share({ files: [file] });
      return;
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
    }
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// A4 at 150 dots an inch.
const PAGE = { width: 1240, height: 1754 };
const MARGIN = 110;

/**
 * The report as one page. The browser draws it, since it shapes Arabic and every other script with
 * the device's own fonts, which a PDF would have to carry.
 */
async function pdfOf(record: HistoryRecord, language: string): Promise<Uint8Array<ArrayBuffer>> {
  const { PDFDocument } = await import("@cantoo/pdf-lib");
  const canvas = drawPage(record, language);
  const jpeg = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  if (!jpeg) throw new Error("the page could not be drawn");
  const document = await PDFDocument.create();
  document.setTitle("NanoRay");
  document.setSubject(i18next.t("app.notice", { lng: language }));
  document.setLanguage(language);
  const image = await document.embedJpg(await jpeg.arrayBuffer());
  const points = { width: (PAGE.width * 72) / 150, height: (PAGE.height * 72) / 150 };
  document.addPage([points.width, points.height]).drawImage(image, { x: 0, y: 0, ...points });
  return Uint8Array.from(await document.save());
}

function drawPage(record: HistoryRecord, language: string): HTMLCanvasElement {
  const canvas = Object.assign(window.document.createElement("canvas"), PAGE);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  const rightToLeft = direction(language) === "rtl";
  const start = rightToLeft ? PAGE.width - MARGIN : MARGIN;
  const inwards = rightToLeft ? -1 : 1;
  context.direction = rightToLeft ? "rtl" : "ltr";
  context.textAlign = "start";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, PAGE.width, PAGE.height);
  context.fillStyle = "#14181f";
  context.font = "bold 48px system-ui, sans-serif";
  context.fillText("NanoRay", start, 150);
  context.fillStyle = "#fff3d6";
  context.fillRect(MARGIN, 185, PAGE.width - 2 * MARGIN, 62);
  context.fillStyle = "#5c4000";
  context.font = "bold 25px system-ui, sans-serif";
  context.fillText(i18next.t("app.notice", { lng: language }), start + 16 * inwards, 225, PAGE.width - 2 * MARGIN - 32);

  // The plain picture, and beside it the one with the suspect area.
  const { picture } = record.prediction;
  const places = outlineOf(record);
  const count = places ? 2 : 1;
  const gap = 30;
  const room = (PAGE.width - 2 * MARGIN - gap * (count - 1)) / count;
  const fit = Math.min(room / picture.columns, 820 / picture.rows);
  const [width, height] = [picture.columns * fit, picture.rows * fit];
  const plain = canvasOf(windowed(picture, 128, 256));
  const left = (PAGE.width - count * width - gap * (count - 1)) / 2;
  context.drawImage(plain, left, 285, width, height);
  if (places) {
    context.drawImage(plain, left + width + gap, 285, width, height);
    context.drawImage(canvasOf(places), left + width + gap, 285, width, height);
    context.fillStyle = "#4e5868";
    context.font = "22px system-ui, sans-serif";
    context.fillText(i18next.t("result.mapLegend", { lng: language }), start, 285 + height + 34, PAGE.width - 2 * MARGIN);
  }

  let y = 285 + height + 100;
  context.fillStyle = "#14181f";
  for (const [name, value] of reportLines(record, language)) {
    context.font = "bold 27px system-ui, sans-serif";
    context.fillText(name, start, y, 290);
    context.font = "27px system-ui, sans-serif";
    context.fillText(value, start + 310 * inwards, y, PAGE.width - 2 * MARGIN - 310);
    y += 50;
  }
  return canvas;
}

function canvasOf(picture: ColourPicture): HTMLCanvasElement {
  const canvas = window.document.createElement("canvas");
  canvas.width = picture.columns;
  canvas.height = picture.rows;
  canvas.getContext("2d")?.putImageData(new ImageData(picture.data, picture.columns, picture.rows), 0, 0);
  return canvas;
}
