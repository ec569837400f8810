/** The history in SQLite, in the app's own folder. */

import { openDatabaseAsync, type SQLiteDatabase } from "expo-sqlite";

import { deserialise, type HistoryStore, serialise } from "./record";

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
    CREATE INDEX IF NOT EXISTS record_date ON record (date DESC);
  `);
  return opened;
}

interface Row {
  readonly content: string;
}

export const history: HistoryStore = {
  async put(record) {
    await (await database()).runAsync(
      "INSERT OR REPLACE INTO record (id, date, name, content) VALUES (?, ?, ?, ?)",
      [record.id, record.date, record.name, serialise(record)],
    );
  },
  async get(id) {
    const row = await (await database()).getFirstAsync<Row>("SELECT content FROM record WHERE id = ?", [id]);
    return row ? deserialise(row.content) : null;
  },
  async search(query) {
    const rows = await (await database()).getAllAsync<Row>(
      "SELECT content FROM record WHERE instr(lower(name), lower(?)) > 0 OR ? = '' ORDER BY date DESC",
      [query, query],
    );
    return rows.map(({ content }) => deserialise(content));
  },
  async remove(id) {
    await (await database()).runAsync("DELETE FROM record WHERE id = ?", [id]);
  },
  async clear() {
    await (await database()).runAsync("DELETE FROM record");
  },
};
