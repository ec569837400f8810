// Dropped and chosen files: screened a few at a time, with progress and reasons.

import { element, find } from "./dom.js";
import { screen } from "./service.js";
import { t, tOr } from "./words.js";

const AT_ONCE = 3;

/** Names that files have on this machine, by prediction; they are never sent anywhere. */
export const names = new Map();

/** All files of a drop, with those in folders. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      found.push(await new Promise((done, failed) => entry.file(done, failed)));
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const child of some) await walk(child);
    }
  };
  for (const entry of entries) await walk(entry);
  return found.filter((file) => !file.name.startsWith(".") && file.name !== "DICOMDIR");
}

/** Screens files and shows the progress; `finished(prediction)` is called for each result. */
export class Uploads {
  constructor(finished) {
    this.finished = finished;
    this.waiting = [];
    this.total = this.done = this.failed = this.active = 0;
    find("uploads-close").addEventListener("click", () => this.#forget());
  }

  add(files) {
    this.waiting.push(...files);
    this.total += files.length;
    this.#show();
    while (this.active < Math.min(AT_ONCE, this.waiting.length + this.active)) this.#work();
  }

  async #work() {
    this.active++;
    let file;
    while ((file = this.waiting.shift())) {
      try {
        const prediction = await screen(file);
        names.set(prediction.id, file.name);
        this.finished(prediction);
      } catch (error) {
        this.failed++;
        const item = element("li", "", {}, element("b", file.name));
        item.append(` ${tOr(`refusal.${error.code}`, error.message)}`);
        find("uploads-errors").append(item);
      }
      this.done++;
      this.#show();
    }
    this.active--;
    this.#show();
  }

  #show() {
    find("uploads").hidden = this.total === 0;
    const bar = find("uploads-bar");
    bar.max = Math.max(1, this.total);
    bar.value = this.done;
    const finished = this.done === this.total;
    const parts = [t("uploads.done", { done: this.done, total: this.total })];
    if (this.failed) parts.push(t("uploads.failed", { count: this.failed }));
    find("uploads-text").textContent = parts.join(" · ");
    find("uploads-close").hidden = !finished;
    if (finished && !this.failed && this.total) setTimeout(() => this.#forget(), 3000);
  }

  #forget() {
    if (this.done !== this.total) return;
    this.total = this.done = this.failed = 0;
    find("uploads-errors").replaceChildren();
    this.#show();
  }
}
