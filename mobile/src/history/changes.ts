/** Notifies lists of results that were stored or deleted. */

import type { HistoryStore } from "./record";

/** The ids that are gone, "all" of them, or null where a result was added. */
export type Gone = readonly string[] | "all" | null;

export interface ObservedHistory extends HistoryStore {
  /** Call `listener` after each change; returns a function that stops this. */
  subscribe(listener: (gone: Gone) => void): () => void;
}

/** A history with notifications of changes. */
export function observed(store: HistoryStore): ObservedHistory {
  const listeners = new Set<(gone: Gone) => void>();
  const tell = (gone: Gone) => listeners.forEach((listener) => listener(gone));
  return {
    put: (record) => store.put(record).then(() => tell(null)),
    get: (id) => store.get(id),
    search: (query, offset, limit) => store.search(query, offset, limit),
    thumbnail: (id) => store.thumbnail(id),
    remove: (ids) => store.remove(ids).then(() => tell(ids)),
    clear: () => store.clear().then(() => tell("all")),
    lasting: () => store.lasting(),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
