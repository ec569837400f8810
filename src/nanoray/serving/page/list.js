// The list of studies: search, filters, paging, and which study is chosen.

import { element, find, save } from "./dom.js";
import { exchange, send } from "./service.js";
import { names } from "./uploads.js";
import { day, flagWords, moment, number, probability, signed, t, tone, verdictWords, viewWords } from "./words.js";

const PAGE = 100;
const FILTERS = "nanoray-filters";
const SEARCH_DELAY = 250;

/** Rows of the worklist; `chosen(id)` is called when a person chooses a study. */
export class List {
  constructor({ chosen }) {
    this.chosen = chosen;
    this.items = [];
    this.current = null;
    this.next = null;
    this.total = 0;
    this.model = null;
    this.#turn = 0;
    this.form = find("filters");
    this.#restore();
    let timer;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#filter(), event.target.type === "search" ? SEARCH_DELAY : 0);
    });
    this.form.addEventListener("reset", () => setTimeout(() => this.#filter()));
    find("worklist").addEventListener("click", (event) => {
      const row = event.target.closest("[data-id]");
      if (row) this.chosen(row.dataset.id);
    });
    find("more").addEventListener("click", () => this.load(true));
    new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting && this.next) this.load(true);
    }).observe(find("more"));
    find("export").addEventListener("click", () => this.export());
  }

  #turn;

  /** The filters as parameters of the service. */
  query() {
    const given = new FormData(this.form);
    const query = {};
    for (const name of ["text", "verdict", "origin", "flag", "view"]) {
      const value = given.get(name)?.trim();
      if (value) query[name] = name === "view" ? value.toUpperCase() : value;
    }
    const state = given.get("state");
    if (state === "unread") query.read = false;
    if (state === "read") query.read = true;
    if (state === "reviewed") query.reviewed = true;
    if (state === "agrees") query.agrees = true;
    if (state === "disagrees") query.agrees = false;
    for (const [name, field] of [["min_probability", "from-percent"], ["max_probability", "to-percent"]]) {
      const value = given.get(field);
      if (value) query[name] = Math.min(1, Math.max(0, Number(value) / 100));
    }
    const kind = given.get("date") === "study" ? "study" : "received";
    const [from, to] = [given.get("from"), given.get("to")];
    if (kind === "study") {
      if (from) query.study_from = from;
      if (to) query.study_to = to;
    } else {
      if (from) query.received_from = new Date(`${from}T00:00`).toISOString();
      if (to) {
        const end = new Date(`${to}T00:00`);
        end.setDate(end.getDate() + 1);
        query.received_to = end.toISOString();
      }
    }
    return query;
  }

  get #sort() {
    return find("sort").value;
  }

  #filter() {
    sessionStorage.setItem(FILTERS, JSON.stringify([...new FormData(this.form)]));
    this.load();
  }

  #restore() {
    for (const [name, value] of JSON.parse(sessionStorage.getItem(FILTERS) ?? "[]")) {
      const field = this.form.elements.namedItem(name);
      if (field) field.value = value;
    }
    const rare = ["origin", "flag", "view", "from-percent", "to-percent", "from", "to"];
    find("more-filters").open = rare.some((name) => this.form.elements.namedItem(name)?.value);
  }

  /** Load the list, or its next part. */
  async load(more = false) {
    const turn = ++this.#turn;
    const query = { ...this.query(), sort: this.#sort, limit: PAGE };
    if (more && this.next) query.cursor = this.next;
    const page = await exchange("POST", "/v1/studies/search", query);
    if (turn !== this.#turn) return;
    this.items = more ? [...this.items, ...page.items] : page.items;
    this.next = page.next;
    this.total = page.total;
    this.#show(more ? page.items : null);
    this.#waiting(page.waiting);
  }

  /** Update some studies in place. */
  async refresh(ids) {
    const turn = this.#turn;
    const page = await exchange("POST", "/v1/studies/search", { ...this.query(), ids, limit: 200 });
    if (turn !== this.#turn) return [];
    const found = new Map(page.items.map((item) => [item.id, item]));
    for (const id of ids) this.#place(id, found.get(id));
    this.#show();
    this.#waiting(page.waiting);
    return page.items;
  }

  #place(id, study) {
    const old = this.items.findIndex((item) => item.id === id);
    if (old >= 0) {
      this.items.splice(old, 1);
      this.total--;
    }
    if (!study) return;
    this.total++;
    let at = this.items.findIndex((item) => before(study, item, this.#sort));
    if (at < 0) at = this.items.length;
    // Studies after the loaded part appear when their part is loaded.
    if (at < this.items.length || !this.next) this.items.splice(at, 0, study);
  }

  /** Insert a study that the service does not store at the top. */
  add(study) {
    this.#place(study.id, study);
    this.#show();
  }

  /** Highlight the study that is shown. */
  select(id) {
    this.current = id;
    for (const row of find("worklist").querySelectorAll("[data-id]")) {
      if (row.dataset.id === id) {
        row.setAttribute("aria-current", "true");
        row.scrollIntoView({ block: "nearest" });
      } else {
        row.removeAttribute("aria-current");
      }
    }
  }

  /** The study some places after the current one, or the next unread one. */
  after(step, unread = false) {
    const at = this.items.findIndex((item) => item.id === this.current);
    if (!unread) return this.items[at < 0 ? 0 : at + step]?.id;
    return this.items.find((item, index) => index > at && !item.read_at)?.id;
  }

  /** Save what the filters find as CSV. */
  async export() {
    const answer = await send("POST", "/v1/studies/export", this.query());
    save("worklist.csv", "text/csv", await answer.blob());
  }

  #waiting(count) {
    find("waiting").hidden = !count;
    find("waiting").textContent = count ? t("list.waiting", { count }) : "";
  }

  #show(added = null) {
    const list = find("worklist");
    if (added) {
      list.append(...added.map((study) => this.#row(study)));
    } else {
      const focused = document.activeElement?.dataset?.id;
      list.replaceChildren(...this.items.map((study) => this.#row(study)));
      if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
    find("count").textContent = this.total ? `(${number(this.total)})` : "";
    find("empty").hidden = this.items.length > 0;
    find("empty").textContent = Object.keys(this.query()).length ? t("list.nothing") : t("list.empty");
    find("more").hidden = !this.next;
  }

  #row(study) {
    const { patient, review } = study;
    const title = patient?.name || patient?.id || names.get(study.id) || t("study.unnamed", { id: study.id.slice(0, 8) });
    const identity = [patient?.name && patient.id, patient?.accession].filter(Boolean).join(" · ");
    const when = patient?.study_date ? day(patient.study_date) : moment(study.received_at);
    const kinds = study.views.length ? study.views.map(viewWords).join(", ") : t("list.images", { count: study.images });
    // AP and PA have thresholds of their own: without it the order of the rows would look wrong.
    const threshold = study.threshold === null ? "" : t("list.threshold", { view: study.view ? viewWords(study.view) : t("view.unknown"), threshold: probability(study.threshold) });
    const prior = study.prior ? t("list.prior", { prior: probability(study.prior.probability), change: signed(study.prior.change) }) : "";
    const marks = [];
    if (review?.agrees === true) marks.push(t("review.agreed"));
    if (review?.agrees === false) marks.push(t("review.disagreed"));
    if (review && review.agrees === null) marks.push(t("review.reviewed"));
    const flags = study.flags.map((flag) => flagWords(flag, this.model)).join(", ");
    const button = element(
      "button",
      "",
      { type: "button", class: `row ${tone(study.verdict)}${study.read_at ? " read" : ""}`, "data-id": study.id },
      element(
        "span",
        "",
        { class: "row-head" },
        element("bdi", title, { class: "name" }),
        element("span", probability(study.probability), { class: "number" }),
      ),
      element(
        "span",
        "",
        { class: "row-line" },
        element("span", study.read_at ? "" : t("list.unread"), { class: "unread-mark" }),
        element("span", verdictWords(study.verdict), { class: "chip" }),
        element("span", threshold, { class: "small muted" }),
        element("span", prior, { class: "small muted" }),
        element("span", marks.join(", "), { class: "small muted" }),
      ),
      element("span", "", { class: "small muted row-line" }, identity ? element("bdi", identity) : null, element("span", when), element("bdi", kinds)),
      flags ? element("span", flags, { class: "small flagged" }) : null,
    );
    if (study.id === this.current) button.setAttribute("aria-current", "true");
    return element("li", "", {}, button);
  }
}

const RANKS = { abstained: -1, "out of scope": -1.5, unreadable: -2 };

function before(a, b, sort) {
  const key = {
    "-probability": (study) => study.probability ?? RANKS[study.verdict] ?? -3,
    "-received_at": (study) => study.received_at,
    "-study_date": (study) => study.patient?.study_date ?? "",
  }[sort];
  if (key(a) !== key(b)) return key(a) > key(b);
  return a.id < b.id;
}
