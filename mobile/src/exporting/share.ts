/** Sharing results by the device's share sheet. */

import { File, Paths } from "expo-file-system";
import { printToFileAsync } from "expo-print";
import { shareAsync } from "expo-sharing";

import { type ColourPicture, windowed } from "@nanoray/web/detecting/heatmap";
import { type HistoryRecord, toBase64 } from "@/history/record";
import { encode } from "@nanoray/web/reading/png";

import { fileName, outlineOf, reportHtml, toJson } from "./report";

export async function shareJson(records: readonly HistoryRecord[]): Promise<void> {
  const file = new File(Paths.cache, fileName(records, "json"));
  if (file.exists) file.delete();
  file.write(toJson(records));
  await shareAsync(file.uri, { mimeType: "application/json", UTI: "public.json" });
}

export async function sharePdf(record: HistoryRecord, language: string): Promise<void> {
  const { picture } = record.prediction;
  const places = outlineOf(record);
  const html = reportHtml(record, language, {
    radiograph: address(windowed(picture, 128, 256)),
    outline: places ? address(places) : null,
  });
  const { uri } = await printToFileAsync({ html });
  const printed = new File(uri);
  const named = new File(Paths.cache, fileName([record], "pdf"));
  if (named.exists) named.delete();
  await printed.move(named);
  await shareAsync(named.uri, { mimeType: "application/pdf", UTI: "com.adobe.pdf" });
}

function address({ data, rows, columns }: ColourPicture): string {
  const png = encode({ data, width: columns, height: rows, channels: 4, depth: 8 });
  return `data:image/png;base64,${toBase64(png)}`;
}
