// Texts, numbers and dates in the user's language.

import { element } from "./dom.js";

const LANGUAGE = "nanoray-language";
export const LANGUAGES = { en: "English", de: "Deutsch", ar: "العربية" };

let language = "en";
let locale = "en"; // the language as the browser's country writes it
let words = {};
let fallback = {};

async function file(code) {
  const answer = await fetch(`/assets/locales/${code}.json`);
  if (!answer.ok) throw new Error(`no words for ${code}`);
  return answer.json();
}

/** Load the texts of the chosen language, or of the browser's first available one. */
export async function speak(chosen = localStorage.getItem(LANGUAGE)) {
  const wanted = [chosen, ...navigator.languages.map((tag) => tag.slice(0, 2))];
  language = wanted.find((code) => code in LANGUAGES) ?? "en";
  locale = navigator.languages.find((tag) => tag.slice(0, 2) === language) ?? language;
  fallback = await file("en");
  words = language === "en" ? fallback : await file(language);
  document.documentElement.lang = language;
  document.documentElement.dir = t("direction");
  list(document);
  translate(document);
}

/** Fill selects that name their values; `data-words` begins the keys of their words, "" is all. */
function list(root) {
  for (const select of root.querySelectorAll("select[data-values]")) {
    const options = select.dataset.values.split("|").map((value) => {
      const key = value ? `${select.dataset.words}.${value}` : "filter.all";
      return element("option", "", { value, "data-t": key });
    });
    select.replaceChildren(...options);
  }
}

/** Remember a language; the page is loaded again in it. */
export function choose(code) {
  localStorage.setItem(LANGUAGE, code);
}

/** The language in use. */
export const spoken = () => language;

/** The text of a key with its values; a `count` chooses among the key's plural forms. */
export function t(key, values = {}) {
  let text = words[key] ?? fallback[key];
  if (values.count !== undefined) {
    const form = new Intl.PluralRules(language).select(values.count);
    text = words[`${key}.${form}`] ?? words[`${key}.other`] ?? fallback[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (place, name) => {
    const value = values[name];
    if (value === undefined) return place;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Text of a key, or the service's English text if it is missing. */
export function tOr(key, english) {
  return words[key] ?? fallback[key] ?? english;
}

/** Set the texts of elements with data-t (text) and data-t-NAME (attributes). */
export function translate(root) {
  for (const item of root.querySelectorAll("[data-t]")) item.textContent = t(item.dataset.t);
  for (const name of ["aria-label", "title", "placeholder"]) {
    for (const item of root.querySelectorAll(`[data-t-${name}]`)) {
      item.setAttribute(name, t(item.getAttribute(`data-t-${name}`)));
    }
  }
}

/** A number in the language's format. */
export function number(value, digits) {
  return new Intl.NumberFormat(
    locale,
    digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits },
  ).format(value);
}

/** A share as per cent. */
export function percent(share) {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

// The month in letters: 03/04 is in March in the USA and in April in Europe.
const DAY = { year: "numeric", month: "short", day: "2-digit" };

/** A moment, today's without the date. */
export function moment(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  const parts = today ? {} : DAY;
  return date.toLocaleString(locale, { ...parts, hour: "2-digit", minute: "2-digit" });
}

/** A moment with its date and zone, for paper. */
export function fullMoment(date) {
  return date.toLocaleString(locale, { dateStyle: "long", timeStyle: "long" });
}

/** A day, given as year-month-day, that is of no time zone. */
export function day(text) {
  if (!text) return "";
  const [year, month, date] = text.split("-").map(Number);
  return new Date(year, month - 1, date).toLocaleDateString(locale, DAY);
}

/** A probability with three digits; a dash without one. */
export function probability(value) {
  return value === null || value === undefined ? "–" : number(value, 3);
}

/** A change of a probability, with its sign. */
export function signed(value) {
  return new Intl.NumberFormat(locale, { minimumFractionDigits: 3, maximumFractionDigits: 3, signDisplay: "exceptZero" }).format(value);
}

const TONES = {
  "opacity suspected": "suspected",
  "no opacity suspected": "clear",
  unsure: "abstained",
  abstained: "abstained",
  "out of scope": "abstained",
  unreadable: "unread",
  queued: "unread",
};

/** The tone of a verdict, for its colour. */
export const tone = (verdict) => TONES[verdict] ?? "unread";

/** A verdict in words. */
export const verdictWords = (verdict) => tOr(`verdict.${verdict}`, verdict);

/** The verdict on one image. */
export function imageVerdict(image) {
  if (image.status !== "done") return image.status;
  return image.in_scope === false ? "out of scope" : image.decision;
}

/** The probability shown for one image: none if the detector abstained. */
export function imageProbability(image) {
  const verdict = imageVerdict(image);
  const none = ["queued", "unreadable", "abstained", "out of scope"].includes(verdict);
  return none ? null : image.probability;
}

/** A view: AP, PA and the header's codes as they are; a lateral one without a code in words. */
export const viewWords = (view) => tOr(`view.${view}`, view);

/** The operating points that hold for a view: its own, or those for all views together. */
export function pointsOf(card, view) {
  const own = card.views?.find((item) => item.view === view);
  return own?.operating_points ?? card.operating_points ?? [];
}

/** A quality flag in words. */
export const flagWords = (flag, model) => tOr(`flag.${flag}`, model?.flags[flag] ?? flag);
