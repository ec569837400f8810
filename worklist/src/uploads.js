// Dropped and chosen files: screened a few at a time, with progress and reasons.

import { screen } from "./service.js";
import { element } from "./words.js";

const AT_ONCE = 3;

/** Names that files have on this machine; they are never sent anywhere. */
export const names = new Map();

/** All files of a drop, with those in folders. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      found.push(await new Promise((done, failed) => entry.file(done, failed)));
    } else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, failed) => reader.readEntries(done, failed));
        if (!some.length) break;
        for (const child of some) await walk(child);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return found.filter((file) => !file.name.startsWith(".") && file.name !== "DICOMDIR");
}

/** Screens files and says how far it is; `finished(prediction)` is called for each result. */
export class Uploads {
  constructor(root, finished) {
    this.root = root;
    this.finished = finished;
    this.waiting = [];
    this.total = this.done = this.failed = this.active = 0;
    root.querySelector("#uploads-close").addEventListener("click", () => this.#forget());
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
        const prediction = await screen(file, () => false);
        names.set(prediction.id, file.name);
        this.finished(prediction);
      } catch (error) {
        this.failed++;
        const item = element("li");
        item.append(element("b", file.name), ` ${error.message}`);
        this.root.querySelector("#uploads-errors").append(item);
      }
      this.done++;
      this.#show();
    }
    this.active--;
    this.#show();
  }

  #show() {
    this.root.hidden = this.total === 0;
    const bar = this.root.querySelector("#uploads-bar");
    bar.max = Math.max(1, this.total);
    bar.value = this.done;
    const finished = this.done === this.total;
    this.root.querySelector("#uploads-text").textContent =
      `${this.done} of ${this.total} screened` +
      (this.failed ? `, ${this.failed} could not be read` : "");
    this.root.querySelector("#uploads-close").hidden = !finished;
    if (finished && !this.failed && this.total) setTimeout(() => this.#forget(), 3000);
  }

  #forget() {
    if (this.done !== this.total) return;
    this.total = this.done = this.failed = 0;
    this.root.querySelector("#uploads-errors").replaceChildren();
    this.#show();
  }
}
