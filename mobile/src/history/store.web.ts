/**
 * The history in the browser's database: SQLite for the web is experimental in Expo.
 *
 * List entries are stored apart from the pictures, and cached in memory: 10,000 entries
 * are about 2 MB. Where the browser denies storage, results last as long as the page.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";

import type { GreyPicture } from "@nanoray/web/reading/resize";

import { observed } from "./changes";
import { latestFirst, MemoryHistory, NameIndex } from "./memory";
import { type Entry, entryOf, type HistoryRecord, type HistoryStore, thumbnailOf } from "./record";

interface Schema extends DBSchema {
  /** Whole results; the only store of version 1. */
  record: { key: string; value: HistoryRecord; indexes: { date: string } };
  entry: { key: string; value: Entry };
  thumbnail: { key: string; value: GreyPicture & { readonly id: string } };
}

class StoredHistory implements HistoryStore {
  private constructor(
    private readonly database: IDBPDatabase<Schema>,
    private readonly index: NameIndex,
  ) {}

  static async open(): Promise<StoredHistory> {
    const database = await openDB<Schema>("nanoray", 2, {
      async upgrade(created, before, _, transaction) {
        if (before < 1) created.createObjectStore("record", { keyPath: "id" }).createIndex("date", "date");
        const entries = created.createObjectStore("entry", { keyPath: "id" });
        const thumbnails = created.createObjectStore("thumbnail", { keyPath: "id" });
        if (before < 1) return;
        for (let at = await transaction.objectStore("record").openCursor(); at; at = await at.continue()) {
          void entries.put(entryOf(at.value));
          void thumbnails.put({ id: at.value.id, ...thumbnailOf(at.value) });
        }
      },
      // Another page with a newer version of the database waits for this one.
      blocking: (_before, _after, event) => (event.target as IDBDatabase).close(),
    });
    return new StoredHistory(database, new NameIndex((await database.getAll("entry")).sort(latestFirst)));
  }

  async put(record: HistoryRecord): Promise<void> {
    const transaction = this.database.transaction(["record", "entry", "thumbnail"], "readwrite");
    const entry = entryOf(record);
    await Promise.all([
      transaction.objectStore("record").put(record),
      transaction.objectStore("entry").put(entry),
      transaction.objectStore("thumbnail").put({ id: record.id, ...thumbnailOf(record) }),
      transaction.done,
    ]);
    this.index.put(entry);
  }

  async get(id: string): Promise<HistoryRecord | null> {
    return (await this.database.get("record", id)) ?? null;
  }

  search(query: string, offset: number, limit: number) {
    const found = this.index.matching(query);
    return Promise.resolve({ entries: found.slice(offset, offset + limit), total: found.length });
  }

  async thumbnail(id: string): Promise<GreyPicture | null> {
    return (await this.database.get("thumbnail", id)) ?? null;
  }

  async remove(ids: readonly string[]): Promise<void> {
    const transaction = this.database.transaction(["record", "entry", "thumbnail"], "readwrite");
    for (const store of ["record", "entry", "thumbnail"] as const) {
      for (const id of ids) void transaction.objectStore(store).delete(id);
    }
    await transaction.done;
    this.index.remove(ids);
  }

  async clear(): Promise<void> {
    const transaction = this.database.transaction(["record", "entry", "thumbnail"], "readwrite");
    for (const store of ["record", "entry", "thumbnail"] as const) void transaction.objectStore(store).clear();
    await transaction.done;
    this.index.clear();
  }

  async lasting(): Promise<boolean> {
    return true;
  }
}

let opening: Promise<HistoryStore> | undefined;

function store(): Promise<HistoryStore> {
  // `indexedDB` itself throws where storage is denied.
  opening ??= (async () => StoredHistory.open())().catch(() => new MemoryHistory());
  return opening;
}

let asked = false;

export const history = observed({
  async put(record) {
    await (await store()).put(record);
    if (asked) return;
    asked = true;
    // So that the browser does not throw results away when space is short. Firefox asks the user, who
    // may take their time: nothing waits for the answer.
    void navigator.storage?.persist?.().catch(() => false);
  },
  get: async (id) => (await store()).get(id),
  search: async (query, offset, limit) => (await store()).search(query, offset, limit),
  thumbnail: async (id) => (await store()).thumbnail(id),
  remove: async (ids) => (await store()).remove(ids),
  clear: async () => (await store()).clear(),
  lasting: async () => (await store()).lasting(),
});
