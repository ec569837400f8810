/** A history that lasts as long as the app: where storage is denied, and in tests. */

import { type Entry, entryOf, type HistoryRecord, type HistoryStore, thumbnailOf } from "./record";

export class MemoryHistory implements HistoryStore {
  private readonly kept = new Map<string, HistoryRecord>();

  put(record: HistoryRecord): Promise<void> {
    this.kept.set(record.id, record);
    return Promise.resolve();
  }

  get(id: string): Promise<HistoryRecord | null> {
    return Promise.resolve(this.kept.get(id) ?? null);
  }

  search(query: string, offset: number, limit: number) {
    const entries = matching([...this.kept.values()].map(entryOf).sort(latestFirst), query);
    return Promise.resolve({ entries: entries.slice(offset, offset + limit), total: entries.length });
  }

  thumbnail(id: string) {
    const record = this.kept.get(id);
    return Promise.resolve(record ? thumbnailOf(record) : null);
  }

  remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.kept.delete(id);
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.kept.clear();
    return Promise.resolve();
  }

  lasting(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

export function latestFirst(a: Entry, b: Entry): number {
  return a.date < b.date ? 1 : a.date > b.date ? -1 : 0;
}

/** The entries whose name contains the words, however they are written. */
export function matching(entries: readonly Entry[], query: string): readonly Entry[] {
  const wanted = query.trim().toLowerCase();
  return wanted ? entries.filter(({ name }) => name.toLowerCase().includes(wanted)) : entries;
}
