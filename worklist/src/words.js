// Words and numbers as people read them.

/** Kind of a prediction, for its colour. */
export function kind(prediction) {
  if (prediction.status !== "done") return prediction.status === "queued" ? "waiting" : "unread";
  return { "opacity suspected": "suspected", "no opacity suspected": "clear" }[
    prediction.decision
  ] ?? "abstained";
}

/** What is said of it, in a few words. */
export function verdict(prediction) {
  if (prediction.status === "queued") return "waiting";
  if (prediction.status === "unreadable") return "unreadable";
  return prediction.decision;
}

/** A probability as text; abstentions have none. */
export function probability(prediction) {
  const shown = kind(prediction) === "suspected" || kind(prediction) === "clear";
  return shown && prediction.probability !== null ? prediction.probability.toFixed(3) : "–";
}

/** Whether a has its place before b in the worklist. */
export function before(a, b, sort) {
  const key = sort === "-created_at" ? (p) => p.created_at : rank;
  if (key(a) !== key(b)) return key(a) > key(b);
  return a.id < b.id;
}

function rank(prediction) {
  if (prediction.status === "queued") return -3;
  if (prediction.status === "unreadable") return -2;
  if (prediction.decision === "abstained" || prediction.probability === null) return -1;
  return prediction.probability;
}

/** A time, today's without the date. */
export function moment(text) {
  const date = new Date(text);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const today = date.toDateString() === new Date().toDateString();
  return today ? time : `${date.toLocaleDateString()} ${time}`;
}

export const ORIGINS = { http: "uploaded", dicom: "DICOM node", pull: "fetched" };

/** A share as per cent. */
export function percent(share) {
  return `${(100 * share).toFixed(0)} %`;
}

/** A share as a length in a style sheet. */
export function length(share) {
  return `${(100 * share).toFixed(2)}%`;
}

/** An element with text and attributes. */
export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
