// The worklist page: starts the parts and connects them.

import { Deliveries } from "./deliveries.js";
import { element, find, save } from "./dom.js";
import { PRESETS } from "./film.js";
import { listen } from "./keys.js";
import { List } from "./list.js";
import { exchange, follow, json, onKeyNeeded, request, signOut, signedIn } from "./service.js";
import { StudyView } from "./study.js";
import { Uploads, dropped, names } from "./uploads.js";
import * as words from "./words.js";

const { t } = words;
const NARROW = window.matchMedia("(max-width: 68.74rem)");

let session, model, list, view, deliveries, uploads;

// The id of the shown study is in the fragment of the address, which browsers do not send.

function wanted() {
  const given = new URLSearchParams(location.hash.slice(1));
  return { study: given.get("study"), image: given.get("image"), accession: given.get("accession") };
}

/** Show a study; its id in the address gives the link and the Back button. */
function go(id) {
  const hash = id ? `#study=${id}` : "";
  if (location.hash === hash) return open();
  if (id && wanted().study && !NARROW.matches) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash || location.pathname);
  return open();
}

const passing = new Map(); // studies of a service that stores nothing

async function open() {
  const { study: id, image, accession } = wanted();
  if (accession) {
    history.replaceState(null, "", location.pathname);
    const { items } = await exchange("POST", "/v1/studies/search", { text: accession, limit: 200 });
    const found = items.filter((item) => item.patient?.accession === accession);
    if (found.length === 1) {
      await go(found[0].id);
      return;
    }
    find("filters").elements.namedItem("text").value = accession;
    await list.load();
  }
  document.body.dataset.screen = id ? "study" : "list";
  list.select(id);
  if (!id) {
    view.clear();
    return;
  }
  try {
    const study = passing.get(id) ?? (await json(`/v1/studies/${id}`));
    if (wanted().study !== id) return;
    naming(study);
    view.show(study, image);
    if (NARROW.matches) find("viewer").focus();
  } catch (error) {
    if (wanted().study !== id) return;
    view.clear();
    find("nothing").textContent = error.status === 404 ? t("study.gone") : error.message;
  }
}

// A local file's name is shown for a study without a patient's name.
function naming(study) {
  const named = study.image_list.map((image) => names.get(image.id)).find(Boolean);
  if (named) names.set(study.id, named);
}

async function refresh() {
  const { study } = view;
  if (!study || passing.has(study.id)) return;
  try {
    const now = await json(`/v1/studies/${study.id}`);
    if (view.study?.id === study.id) view.show(now, view.film?.image.id);
  } catch (error) {
    if (error.status === 404) go(null);
  }
}

// Reviews.

async function mark() {
  const { study } = view;
  if (!study || !session.submits || !session.stores) return;
  await change(exchange("PUT", `/v1/studies/${study.id}/read`, { read: !study.read_at }));
}

async function review(choice) {
  const { study } = view;
  if (!study || !session.submits || !session.stores) return;
  const [agree, disagree] = view.meanings();
  let finding = study.review?.finding ?? null;
  if (choice === "agree") finding = finding === agree ? null : agree;
  if (choice === "disagree") finding = finding === disagree ? null : disagree;
  const note = find("note").value;
  await change(exchange("PUT", `/v1/studies/${study.id}/review`, { finding, note }));
}

async function change(answer) {
  try {
    const study = await answer;
    if (view.study?.id === study.id) view.show({ ...view.study, ...study });
    await list.refresh([study.id]);
  } catch (error) {
    say(error.message);
  }
}

function say(text) {
  find("news").textContent = text;
  find("toast").textContent = text;
  find("toast").hidden = false;
  setTimeout(() => {
    find("toast").hidden = true;
  }, 5000);
}

// Files.

async function finished(prediction) {
  if (!session.stores) {
    const study = alone(prediction);
    passing.set(study.id, study);
    names.set(study.id, names.get(prediction.id));
    list.add(study);
    if (!view.study) go(study.id);
    return;
  }
  // Its study is there as soon as its header is read.
  for (let attempt = 0; attempt < 20; attempt++) {
    const { items } = await exchange("POST", "/v1/studies/search", { image: prediction.id });
    if (items.length) {
      const [{ id }] = items;
      names.set(id, names.get(prediction.id));
      await list.refresh([id]);
      if (!view.study) await go(id);
      else if (view.study.id === id) await refresh();
      return;
    }
    await new Promise((done) => setTimeout(done, 250 * (attempt + 1)));
  }
}

/** A study of one prediction that the service does not store. */
function alone(prediction) {
  const done = prediction.status === "done";
  const given = done && prediction.decision !== "abstained";
  return {
    id: prediction.id,
    received_at: prediction.created_at,
    origin: prediction.origin,
    images: 1,
    verdict: done ? prediction.decision : prediction.status,
    probability: given ? prediction.probability : null,
    view: given ? prediction.view : null,
    threshold: given ? prediction.threshold : null,
    flags: prediction.flags,
    views: prediction.facts.view ? [prediction.facts.view] : [],
    read_at: null,
    patient: null,
    review: null,
    deliveries: [],
    image_list: [{ ...prediction, in_scope: true, lateral: false }],
  };
}

// Events.

let fresh = new Set();
let timer = null;

function heard(event, data) {
  if (event === "reload") fresh.add("all");
  else if (event === "study") fresh.add(data.id);
  else if (event === "delivery") deliveries.count();
  else return;
  timer ??= setTimeout(catchUp, 300);
}

async function catchUp() {
  const ids = [...fresh];
  fresh = new Set();
  timer = null;
  try {
    if (ids.includes("all") || ids.length > 20) await list.load();
    else {
      for (const study of await list.refresh(ids)) {
        if (!study.read_at) {
          find("news").textContent = t("news.study", {
            verdict: words.verdictWords(study.verdict),
            probability: words.probability(study.probability),
          });
        }
      }
    }
    if (view.study && (ids.includes("all") || ids.includes(view.study.id))) await refresh();
    await deliveries.count();
  } catch {
    // No connection: the list is reloaded when the service is back.
  }
}

// The keyboard.

const film = (does) => () => view.film && does(view.film);
const step = (by) => () => {
  const id = list.after(by);
  if (id) go(id);
};
const pan = (dx, dy) => film((f) => f.set({ x: f.x + dx / f.zoom, y: f.y + dy / f.zoom }));

function toggleMap() {
  if (view.film?.hasMap) view.film.set({ mapShown: !view.film.mapShown });
}

function toggleMeasure() {
  view.film?.set({ measuring: !view.film.measuring });
}

function clearLines() {
  if (!view.film) return;
  view.film.lines = [];
  view.film.draw();
}

function actions() {
  const presets = Object.keys(PRESETS);
  return [
    { keys: ["j"], text: "keys.next", does: step(1) },
    { keys: ["k"], text: "keys.previous", does: step(-1) },
    { keys: ["u"], text: "keys.unread", does: () => list.after(1, true) && go(list.after(1, true)) },
    { keys: ["["], text: "keys.previousImage", does: () => view.choose(view.active - 1) },
    { keys: ["]"], text: "keys.nextImage", does: () => view.choose(view.active + 1) },
    { keys: ["t"], text: "keys.together", does: () => view.study?.image_list.length > 1 && view.toggleTogether() },
    { keys: ["h"], text: "keys.map", does: toggleMap },
    ...presets.map((name, index) => ({
      keys: [String(index + 1)],
      text: `preset.${name}`,
      does: film((f) => f.preset(name)),
    })),
    { keys: ["w", "s"], text: "keys.level", does: (event) => film((f) => f.set({ level: f.level + (event.key.toLowerCase() === "w" ? -0.03 : 0.03) }))() },
    { keys: ["a", "d"], text: "keys.window", does: (event) => film((f) => f.set({ window: f.window * (event.key.toLowerCase() === "a" ? 1 / 1.1 : 1.1) }))() },
    { keys: ["i"], text: "keys.invert", does: film((f) => f.set({ inverted: !f.inverted })) },
    { keys: ["+", "="], text: "keys.zoomIn", does: film((f) => f.zoomAt(1.25)) },
    { keys: ["-"], text: "keys.zoomOut", does: film((f) => f.zoomAt(1 / 1.25)) },
    { keys: ["ArrowLeft"], text: "keys.left", does: pan(0.1, 0) },
    { keys: ["ArrowRight"], text: "keys.right", does: pan(-0.1, 0) },
    { keys: ["ArrowUp"], text: "keys.up", does: pan(0, 0.1) },
    { keys: ["ArrowDown"], text: "keys.down", does: pan(0, -0.1) },
    { keys: ["o"], text: "keys.onePixel", does: film((f) => f.onePixel()) },
    { keys: ["f"], text: "keys.full", does: film((f) => !f.full && f.load(true)) },
    { keys: ["m"], text: "keys.measure", does: toggleMeasure },
    { keys: ["Delete"], text: "keys.clear", does: clearLines },
    { keys: ["0"], text: "keys.reset", does: film((f) => f.reset()) },
    { keys: ["r"], text: "keys.read", does: mark },
    { keys: ["y"], text: "keys.agree", does: () => review("agree") },
    { keys: ["n"], text: "keys.disagree", does: () => review("disagree") },
    { keys: ["c"], text: "keys.note", does: () => find("note").focus() },
    { keys: ["p"], text: "keys.print", does: () => view.study && print() },
    { keys: ["/"], text: "keys.search", does: search },
    { keys: ["Escape"], text: "keys.back", does: () => NARROW.matches && go(null) },
    { keys: ["?"], text: "keys.help", does: () => find("help").showModal() },
  ];
}

function search() {
  if (NARROW.matches) go(null);
  find("filters").elements.namedItem("text").focus();
}

// Signing in and out.

onKeyNeeded((refused) => {
  const dialog = find("login");
  find("login-error").textContent = refused ? t("login.refused") : "";
  find("key").value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((given) => {
    find("login-form").addEventListener("submit", () => given(find("key").value.trim()), { once: true });
  });
});
find("login").addEventListener("cancel", (event) => event.preventDefault());

/** Delete the key and clear the page. */
function lock() {
  signOut();
  sessionStorage.removeItem("nanoray-filters");
  location.replace(location.pathname);
}

function lockWhenIdle(minutes) {
  if (!minutes) return;
  let last = Date.now();
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) {
    document.addEventListener(kind, () => { last = Date.now(); }, { passive: true, capture: true });
  }
  setInterval(() => {
    if (signedIn() && Date.now() - last > 60_000 * minutes) lock();
  }, 5_000);
}

// Colours and language.

const theme = find("theme");
theme.value = localStorage.getItem("nanoray-theme") ?? "auto";
const applyTheme = () => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("nanoray-theme", theme.value);
};
theme.addEventListener("change", applyTheme);
applyTheme();

function print() {
  find("print-head").textContent = t("print.head", {
    time: words.fullMoment(new Date()),
    model: `${model.card.name} ${model.card.version}`,
  });
  window.print();
}

function connect() {
  const on = (id, does) => find(id).addEventListener("click", does);
  on("back", () => go(null));
  on("skip", (event) => {
    event.preventDefault(); // the address is the study's
    find("viewer").focus();
  });
  on("read", mark);
  on("agree", () => review("agree"));
  on("disagree", () => review("disagree"));
  on("save-note", () => review(null));
  on("map", toggleMap);
  on("invert", film((f) => f.set({ inverted: !f.inverted })));
  on("measure", toggleMeasure);
  on("one-pixel", film((f) => f.onePixel()));
  on("full", film((f) => f.load(true)));
  on("reset", film((f) => f.reset()));
  on("together", () => view.toggleTogether());
  on("help-button", () => find("help").showModal());
  on("print", print);
  on("sign-out", lock);
  on("labels", async () => save("labels.csv", "text/csv", await (await request("/v1/labels")).blob()));
  on("json", () => save(`nanoray-${view.study.id.slice(0, 8)}.json`, "application/json", JSON.stringify(view.study, null, 2)));
  on("delete", () => find("confirm").showModal());
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  find("confirm").addEventListener("close", async () => {
    if (find("confirm").returnValue !== "delete" || !view.study) return;
    const { id } = view.study;
    try {
      await request(`/v1/studies/${id}`, { method: "DELETE" });
      await list.refresh([id]);
      await go(null);
    } catch (error) {
      say(t("delete.failed", { reason: error.message }));
    }
  });
  window.addEventListener("popstate", open);
}

function permit() {
  find("drop").hidden = !session.submits;
  find("delete").hidden = !session.administers || !session.stores;
  find("sign-out").hidden = !session.signed_in;
  find("labels").hidden = !session.stores;
  find("export").hidden = !session.stores;
  find("filters").hidden = !session.stores;
  find("study-date").hidden = !session.shows_patients;
  document.querySelector("#sort [value='-study_date']").hidden = !session.shows_patients;
  const text = find("filters").elements.namedItem("text");
  text.placeholder = t(session.shows_patients ? "list.search" : "list.searchId");
}

function acceptFiles() {
  if (!session.submits) return;
  uploads = new Uploads(finished);
  find("files").addEventListener("change", (event) => {
    uploads.add([...event.target.files]);
    event.target.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
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
}

async function start() {
  await words.speak();
  const language = find("language");
  language.replaceChildren(
    ...Object.entries(words.LANGUAGES).map(([code, name]) => element("option", name, { value: code, lang: code })),
  );
  language.value = words.spoken();
  language.addEventListener("change", () => {
    words.choose(language.value);
    location.reload();
  });
  model = await json("/v1/model");
  session = { ...(await json("/v1/session")), stores: model.stores_results };
  list = new List({ chosen: go });
  view = new StudyView({ changed: () => {} });
  list.model = view.model = model;
  view.session = session;
  find("model").textContent = t("head.model", { name: model.card.name, version: model.card.version });
  find("flag-filter").append(
    ...Object.keys(model.flags).map((flag) => element("option", words.flagWords(flag, model), { value: flag })),
  );
  permit();
  connect();
  acceptFiles();
  listen(actions());
  deliveries = new Deliveries(session);
  lockWhenIdle(session.lock_minutes);
  document.body.dataset.ready = "yes";
  if (session.stores) await open();
  follow(heard, (now) => {
    find("live").className = `live ${now}`;
    find("live").querySelector("b").textContent = t(`live.${now}`);
  });
}

start();
