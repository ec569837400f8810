// Keyboard shortcuts, active everywhere except in text fields.

import { element, find } from "./dom.js";
import { t } from "./words.js";

const OFF = "nanoray-no-keys";

/**
 * Listen for keys. `actions` are by key, each with the text of the help and what it does; keys of
 * the same text share a row of the help.
 */
export function listen(actions) {
  const byKey = new Map(actions.flatMap(({ keys, does }) => keys.map((key) => [key, does])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const typing = target.matches?.("input:not([type=range]):not([type=file]), textarea, select");
    const sliding = target.matches?.("input[type=range]") && event.key.startsWith("Arrow");
    const pressing = target.matches?.("button, a, summary") && (event.key === "Enter" || event.key === " ");
    if (typing || sliding || pressing) {
      if (event.key === "Escape") target.blur();
      return;
    }
    // Single letters can be switched off (WCAG 2.1.4), since speech input types them.
    if (event.key.length === 1 && event.key !== "?" && localStorage.getItem(OFF)) return;
    const does = byKey.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (does) {
      event.preventDefault();
      does(event);
    }
  });
  find("keys-list").replaceChildren(
    ...actions.flatMap(({ keys, text }) => [
      element("dt", "", {}, ...keys.filter((key) => key !== "=").map((key) => element("kbd", shown(key)))),
      element("dd", t(text)),
    ]),
  );
  find("keys-off").checked = Boolean(localStorage.getItem(OFF));
  find("keys-off").addEventListener("change", (event) => {
    if (event.target.checked) localStorage.setItem(OFF, "yes");
    else localStorage.removeItem(OFF);
  });
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", Delete: "Del" };
const shown = (key) => NAMES[key] ?? key.toUpperCase();
