/** A history that lasts as long as the app: where storage is denied, and in tests. */

import { type Entry, entryOf, type HistoryRecord, type HistoryStore, thumbnailOf } from "./record";

export class MemoryHistory implements HistoryStore {
  private readonly kept = new Map<string, HistoryRecord>();
  private readonly index = new NameIndex([]);

  put(record: HistoryRecord): Promise<void> {
    this.kept.set(record.id, record);
    this.index.put(entryOf(record));
    return Promise.resolve();
  }

  get(id: string): Promise<HistoryRecord | null> {
    return Promise.resolve(this.kept.get(id) ?? null);
  }

  search(query: string, offset: number, limit: number) {
    const found = this.index.matching(query);
    return Promise.resolve({ entries: found.slice(offset, offset + limit), total: found.length });
  }

  thumbnail(id: string) {
    const record = this.kept.get(id);
    return Promise.resolve(record ? thumbnailOf(record) : null);
  }

  remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.kept.delete(id);
    this.index.remove(ids);
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.kept.clear();
    this.index.clear();
    return Promise.resolve();
  }

  lasting(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

export function latestFirst(a: Entry, b: Entry): number {
  return a.date < b.date ? 1 : a.date > b.date ? -1 : 0;
}

/** Entries by name, the latest first; 10,000 are searched in about a millisecond. */
export class NameIndex {
  /** The names in lower case, beside the entries. */
  private names: string[];
  /** The last search: a longer query looks only at what the shorter one found. */
  private last: { readonly query: string; readonly found: readonly number[] } | null = null;

  constructor(private entries: Entry[]) {
    this.names = entries.map(lowered);
  }

  /** The entries whose name contains the words, in upper or lower case. */
  matching(query: string): readonly Entry[] {
    const wanted = query.trim().toLowerCase();
    if (!wanted) return this.entries;
    const { names, last } = this;
    let found: number[];
    if (last && wanted.includes(last.query)) {
      found = last.found.filter((at) => names[at]!.includes(wanted));
    } else {
      found = [];
      for (let at = 0; at < names.length; at++) if (names[at]!.includes(wanted)) found.push(at);
    }
    this.last = { query: wanted, found };
    return found.map((at) => this.entries[at]!);
  }

  put(entry: Entry): void {
    const others = this.entries.filter(({ id }) => id !== entry.id);
    const older = others.findIndex((other) => latestFirst(entry, other) <= 0);
    others.splice(older < 0 ? others.length : older, 0, entry);
    this.set(others);
  }

  remove(ids: readonly string[]): void {
    const gone = new Set(ids);
    this.set(this.entries.filter(({ id }) => !gone.has(id)));
  }

  clear(): void {
    this.set([]);
  }

  private set(entries: Entry[]): void {
    this.entries = entries;
    this.names = entries.map(lowered);
    this.last = null;
  }
}

function lowered({ name }: Entry): string {
  return name.toLowerCase();
}
