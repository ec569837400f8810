/** The history in SQLite, in the app's own folder; pictures in a table of their own. */

import type { GreyPicture } from "@nanoray/web/reading/resize";
import { openDatabaseAsync, type SQLiteDatabase } from "expo-sqlite";

import { observed } from "./changes";
import { deserialise, type Entry, entryOf, type HistoryRecord, serialise, thumbnailOf } from "./record";

const VERSION = 3;

let opening: Promise<SQLiteDatabase> | undefined;

function database(): Promise<SQLiteDatabase> {
  opening ??= open();
  return opening;
}

async function open(): Promise<SQLiteDatabase> {
  const opened = await openDatabaseAsync("history.db");
  await opened.execAsync(`
    PRAGMA journal_mode = WAL;
    PRAGMA secure_delete = ON;
    CREATE TABLE IF NOT EXISTS record (
      id TEXT PRIMARY KEY, date TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS entry (
      id TEXT PRIMARY KEY, date TEXT NOT NULL, name TEXT NOT NULL, decision TEXT NOT NULL, probability REAL, view TEXT
    );
    CREATE TABLE IF NOT EXISTS thumbnail (
      id TEXT PRIMARY KEY, rows INTEGER NOT NULL, columns INTEGER NOT NULL, data BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS entry_date ON entry (date DESC);
  `);
  const version = await opened.getFirstAsync<{ user_version: number }>("PRAGMA user_version");
  if ((version?.user_version ?? 0) < VERSION) {
    // Version 1 kept whole results only, version 2 no view in the list.
    const columns = await opened.getAllAsync<{ name: string }>("PRAGMA table_info(entry)");
    if (!columns.some(({ name }) => name === "view")) await opened.execAsync("ALTER TABLE entry ADD COLUMN view TEXT");
    for await (const { content } of opened.getEachAsync<{ content: string }>("SELECT content FROM record")) {
      await keepEntry(opened, deserialise(content));
    }
    await opened.execAsync(`PRAGMA user_version = ${VERSION}`);
  }
  return opened;
}

async function keepEntry(opened: SQLiteDatabase, record: HistoryRecord): Promise<void> {
  const { id, date, name, decision, probability, view } = entryOf(record);
  const { rows, columns, data } = thumbnailOf(record);
  await opened.runAsync("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?)", [
    id,
    date,
    name,
    decision,
    Number.isFinite(probability) ? probability : null,
    view,
  ]);
  await opened.runAsync("INSERT OR REPLACE INTO thumbnail VALUES (?, ?, ?, ?)", [id, rows, columns, data]);
}

export const history = observed({
  async put(record) {
    const opened = await database();
    await opened.withTransactionAsync(async () => {
      await opened.runAsync("INSERT OR REPLACE INTO record (id, date, name, content) VALUES (?, ?, ?, ?)", [
        record.id,
        record.date,
        record.name,
        serialise(record),
      ]);
      await keepEntry(opened, record);
    });
  },
  async get(id) {
    const row = await (await database()).getFirstAsync<{ content: string }>("SELECT content FROM record WHERE id = ?", [id]);
    return row ? deserialise(row.content) : null;
  },
  async search(query, offset, limit) {
    const opened = await database();
    const where = "FROM entry WHERE ? = '' OR instr(lower(name), lower(?)) > 0";
    const wanted = query.trim();
    const counted = await opened.getFirstAsync<{ total: number }>(`SELECT count(*) AS total ${where}`, [wanted, wanted]);
    const entries = await opened.getAllAsync<Entry>(`SELECT * ${where} ORDER BY date DESC LIMIT ? OFFSET ?`, [
      wanted,
      wanted,
      limit,
      offset,
    ]);
    return { entries: entries.map((entry) => ({ ...entry, probability: entry.probability ?? NaN })), total: counted?.total ?? 0 };
  },
  async thumbnail(id) {
    return (await database()).getFirstAsync<GreyPicture>("SELECT rows, columns, data FROM thumbnail WHERE id = ?", [id]);
  },
  async remove(ids) {
    const opened = await database();
    await opened.withTransactionAsync(async () => {
      for (const id of ids) {
        for (const table of ["record", "entry", "thumbnail"]) {
          await opened.runAsync(`DELETE FROM ${table} WHERE id = ?`, [id]);
        }
      }
    });
  },
  async clear() {
    await (await database()).execAsync("DELETE FROM record; DELETE FROM entry; DELETE FROM thumbnail;");
  },
  lasting: () => Promise.resolve(true),
});
