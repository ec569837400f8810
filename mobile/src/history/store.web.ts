/** The history in the browser's database: SQLite for the web is experimental in Expo. */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";

import type { HistoryRecord, HistoryStore } from "./record";

interface Schema extends DBSchema {
  record: { key: string; value: HistoryRecord; indexes: { date: string } };
}

let opening: Promise<IDBPDatabase<Schema>> | undefined;

function database(): Promise<IDBPDatabase<Schema>> {
  opening ??= openDB<Schema>("nanoray", 1, {
    upgrade: (created) => {
      created.createObjectStore("record", { keyPath: "id" }).createIndex("date", "date");
    },
  });
  return opening;
}

export const history: HistoryStore = {
  async put(record) {
    await (await database()).put("record", record);
  },
  async get(id) {
    return (await (await database()).get("record", id)) ?? null;
  },
  async search(query) {
    const records = await (await database()).getAllFromIndex("record", "date");
    const wanted = query.toLowerCase();
    return records.filter(({ name }) => name.toLowerCase().includes(wanted)).reverse();
  },
  async remove(id) {
    await (await database()).delete("record", id);
  },
  async clear() {
    await (await database()).clear("record");
  },
};
