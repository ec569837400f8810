// The worklist page.

import "./style.css";
import { follow, json, onKeyNeeded, request } from "./service.js";
import { Uploads, dropped, names } from "./uploads.js";
import { Viewer } from "./viewer.js";
import {
  ORIGINS,
  before,
  element,
  kind,
  length,
  moment,
  percent,
  probability,
  verdict,
} from "./words.js";

const PAGE = 100;
const find = (id) => document.getElementById(id);

const state = { items: [], next: null, total: 0, chosen: null, model: null, stores: true };

// The list.

function query(cursor) {
  const parameters = new URLSearchParams({ sort: find("sort").value, limit: PAGE });
  const filter = find("filter").value;
  if (filter) parameters.set(...filter.split("="));
  if (cursor) parameters.set("cursor", cursor);
  return `/v1/predictions?${parameters}`;
}

async function load(more = false) {
  if (!state.stores) return;
  const page = await json(query(more ? state.next : null));
  state.items = more ? [...state.items, ...page.items] : page.items;
  state.next = page.next;
  state.total = page.total;
  showList();
}

function matches(prediction) {
  const [key, value] = find("filter").value.split("=");
  return !key || prediction[key] === value;
}

function place(prediction) {
  const old = state.items.findIndex((item) => item.id === prediction.id);
  if (old >= 0) state.items.splice(old, 1);
  if (matches(prediction)) {
    const sort = find("sort").value;
    let at = state.items.findIndex((item) => before(prediction, item, sort));
    if (at < 0) at = state.items.length;
    // What belongs behind the part that was loaded comes when that is asked for.
    if (at < state.items.length || !state.next) state.items.splice(at, 0, prediction);
    if (old < 0) state.total++;
  } else if (old >= 0) {
    state.total--;
  }
  showList();
}

function row(prediction) {
  const button = element("button", "", {
    type: "button",
    class: `row ${kind(prediction)}`,
    "data-id": prediction.id,
  });
  if (prediction.id === state.chosen?.id) button.setAttribute("aria-current", "true");
  const head = element("span", "", { class: "row-head" });
  head.append(
    element("span", probability(prediction), { class: "number" }),
    element("span", verdict(prediction), { class: "chip" }),
  );
  button.append(head);
  const meter = element("span", "", { class: "meter", "aria-hidden": "true" });
  const filled = element("i");
  filled.style.width = probability(prediction) === "–" ? "0" : length(prediction.probability);
  meter.append(filled);
  const name = names.get(prediction.id);
  const words = [moment(prediction.created_at), ORIGINS[prediction.origin]];
  if (prediction.facts.view) words.push(prediction.facts.view);
  const flags = prediction.flags.map((flag) => state.model?.flags[flag] ?? flag);
  const detail = element("span", [name, ...words].filter(Boolean).join(" · "), {
    class: "muted small",
  });
  button.append(meter, detail);
  if (flags.length) button.append(element("span", flags.join(", "), { class: "small flagged" }));
  const item = element("li");
  item.append(button);
  return item;
}

function showList() {
  const list = find("worklist");
  const focused = document.activeElement?.dataset?.id;
  list.replaceChildren(...state.items.map(row));
  if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  find("count").textContent = state.total ? `(${state.total})` : "";
  find("empty").hidden = state.items.length > 0;
  find("more").hidden = !state.next;
}

find("worklist").addEventListener("click", (event) => {
  const button = event.target.closest("[data-id]");
  const chosen = state.items.find((item) => item.id === button?.dataset.id);
  if (chosen) choose(chosen);
});

find("worklist").addEventListener("keydown", (event) => {
  const buttons = [...find("worklist").querySelectorAll("[data-id]")];
  const at = buttons.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (next === undefined || !buttons[next]) return;
  event.preventDefault();
  buttons[next].focus();
});

for (const id of ["filter", "sort"]) find(id).addEventListener("change", () => load());
find("more").addEventListener("click", () => load(true));

// One radiograph.

const viewer = new Viewer(find("canvas"), find("film-note"), (shown) => {
  find("level").value = Math.round(1000 * shown.level);
  find("window").value = Math.round(1000 * shown.window);
  find("zoom").value = Math.round(100 * shown.zoom);
  find("opacity").value = Math.round(100 * shown.opacity);
  find("invert").setAttribute("aria-pressed", String(shown.inverted));
});
find("controls").addEventListener("submit", (event) => event.preventDefault());
find("level").addEventListener("input", (e) => viewer.set({ level: e.target.value / 1000 }));
find("window").addEventListener("input", (e) => viewer.set({ window: e.target.value / 1000 }));
find("zoom").addEventListener("input", (e) => viewer.set({ zoom: e.target.value / 100 }));
find("opacity").addEventListener("input", (e) => viewer.set({ opacity: e.target.value / 100 }));
find("invert").addEventListener("click", () => viewer.set({ inverted: !viewer.inverted }));
find("reset").addEventListener("click", () => viewer.reset());

function choose(prediction) {
  state.chosen = prediction;
  for (const button of find("worklist").querySelectorAll("[data-id]")) {
    if (button.dataset.id === prediction.id) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  find("nothing").hidden = true;
  find("shown").hidden = false;
  find("shown").className = kind(prediction);
  find("decision").textContent = verdict(prediction);
  const name = names.get(prediction.id) ?? `Radiograph ${prediction.id.slice(0, 8)}`;
  find("title").textContent = name;
  find("subtitle").textContent =
    `${moment(prediction.created_at)} · ${ORIGINS[prediction.origin]}`;
  find("probability").textContent = probability(prediction);
  find("meter").replaceChildren(...meter(prediction));
  find("reason").textContent = reason(prediction);
  const flags = prediction.flags.map((flag) => element("li", state.model?.flags[flag] ?? flag));
  find("flags").replaceChildren(...flags);
  find("points").replaceChildren(...points(prediction));
  find("facts").replaceChildren(...facts(prediction));
  find("json").disabled = prediction.status === "queued";
  find("canvas").setAttribute(
    "aria-label",
    `Radiograph with heat map. ${verdict(prediction)}, probability ${probability(prediction)}.`,
  );
  find("print-notice").textContent = prediction.notice;
  if (prediction.status === "done" && state.stores) viewer.show(prediction);
  else viewer.clear(state.stores ? reason(prediction) : "This service keeps no pictures.");
}

function reason(prediction) {
  if (prediction.status === "queued") return "This file waits to be screened.";
  if (prediction.error) return `This file could not be read: it ${fits(prediction.error.detail)}.`;
  if (prediction.decision === "abstained") {
    return `The detector gives no opinion: ${prediction.reason}.`;
  }
  const point = prediction.operating_point ?? "its own";
  return (
    `Calibrated probability of ${state.model?.card.target ?? "the target"}; the threshold of the ` +
    `operating point “${point}” is ${prediction.threshold.toFixed(3)}.`
  );
}

function fits(detail) {
  return /^(is|has) /.test(detail) ? detail : `cannot be used, for ${detail}`;
}

function meter(prediction) {
  const filled = element("i");
  filled.style.width = probability(prediction) === "–" ? "0" : length(prediction.probability);
  const marks = (state.model?.card.operating_points ?? []).map((point) => {
    const mark = element("b", "", { title: `${point.name}: ${point.threshold.toFixed(3)}` });
    mark.style.left = length(point.threshold);
    return mark;
  });
  return [filled, ...marks];
}

function points(prediction) {
  return (state.model?.card.operating_points ?? []).map((point) => {
    const line = element("tr", "", point.name === prediction.operating_point ? { class: "used" } : {});
    const share = (value, [low, high]) => `${percent(value)} (${percent(low)} to ${percent(high)})`;
    const shown = probability(prediction) !== "–";
    const above = shown && prediction.probability >= point.threshold;
    line.append(
      element("th", point.name, { scope: "row" }),
      element("td", point.threshold.toFixed(3), { class: "number" }),
      element("td", share(point.sensitivity, point.sensitivity_interval), { class: "number" }),
      element("td", share(point.specificity, point.specificity_interval), { class: "number" }),
      element("td", shown ? (above ? "reached" : "below") : "–"),
    );
    return line;
  });
}

function facts(prediction) {
  const given = prediction.facts;
  const pairs = {
    Image: given.rows && `${given.columns} × ${given.rows}, ${given.format}`,
    View: given.view,
    Encoding: given.transfer_syntax,
    Novelty: prediction.novelty?.toFixed(3),
    Model: `${prediction.model} ${prediction.model_version}`,
    "Time taken":
      prediction.read_milliseconds !== null &&
      `${(prediction.read_milliseconds + (prediction.infer_milliseconds ?? 0)).toFixed(0)} ms`,
    "SHA-256": `${prediction.sha256.slice(0, 16)}…`,
    Id: prediction.id,
  };
  return Object.entries(pairs)
    .filter(([, value]) => value)
    .flatMap(([label, value]) => [element("dt", label), element("dd", String(value))]);
}

find("print").addEventListener("click", () => window.print());
find("json").addEventListener("click", () => {
  const text = JSON.stringify(state.chosen, null, 2);
  const link = element("a", "", { download: `nanoray-${state.chosen.id.slice(0, 8)}.json` });
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});
find("delete").addEventListener("click", () => find("confirm").showModal());
find("confirm").addEventListener("close", async () => {
  if (find("confirm").returnValue !== "delete" || !state.chosen) return;
  const { id } = state.chosen;
  try {
    await request(`/v1/predictions/${id}`, { method: "DELETE" });
    forget(id);
  } catch (error) {
    find("film-note").textContent = `Not deleted: ${error.message}.`;
  }
});

function forget(id) {
  const old = state.items.findIndex((item) => item.id === id);
  if (old >= 0) {
    state.items.splice(old, 1);
    state.total--;
    showList();
  }
  if (state.chosen?.id === id) {
    state.chosen = null;
    viewer.clear("");
    find("shown").hidden = true;
    find("nothing").hidden = false;
  }
}

// Files.

const uploads = new Uploads(find("uploads"), (prediction) => {
  place(prediction);
  if (!state.chosen) choose(prediction);
  else if (prediction.id === state.chosen.id) choose(prediction);
});
find("files").addEventListener("change", (event) => {
  uploads.add([...event.target.files]);
  event.target.value = "";
});
for (const kind_ of ["dragenter", "dragover"]) {
  document.addEventListener(kind_, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  uploads.add(await dropped(event.dataTransfer));
});

// News.

let fresh = new Set();
let timer = null;

function heard(event, data) {
  if (event === "deleted") forget(data.id);
  else if (event === "reload") fresh.add("all");
  else if (event === "prediction") fresh.add(data.id);
  timer ??= setTimeout(catchUp, 250);
}

async function catchUp() {
  const ids = [...fresh];
  fresh = new Set();
  timer = null;
  try {
    if (ids.includes("all") || ids.length > 20) {
      await load();
      return;
    }
    for (const id of ids) {
      const prediction = await json(`/v1/predictions/${id}`);
      place(prediction);
      if (id === state.chosen?.id && state.chosen.status === "queued") choose(prediction);
      find("news").textContent =
        `New result: ${verdict(prediction)}, probability ${probability(prediction)}`;
    }
  } catch {
    // Deleted meanwhile, or out of reach: the list is loaded anew when the service is back.
  }
}

// The page.

onKeyNeeded((refused) => {
  const dialog = find("login");
  find("login-error").textContent = refused ? "That key is not valid." : "";
  find("key").value = "";
  dialog.showModal();
  return new Promise((given) => {
    find("login-form").addEventListener("submit", () => given(find("key").value.trim()), {
      once: true,
    });
  });
});
find("login").addEventListener("cancel", (event) => event.preventDefault());

find("theme").value = localStorage.getItem("nanoray-theme") ?? "auto";
function applyTheme() {
  const theme = find("theme").value;
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("nanoray-theme", theme);
}
find("theme").addEventListener("change", applyTheme);
applyTheme();

async function start() {
  state.model = await json("/v1/model");
  state.stores = state.model.stores_results;
  const { name, version } = state.model.card;
  find("model").textContent = `Model ${name} ${version}`;
  const words = { live: "live", lost: "connection lost", off: "keeps nothing" };
  follow(heard, (now) => {
    find("live").className = `live ${now}`;
    find("live").querySelector("b").textContent = words[now];
  });
}

start();
