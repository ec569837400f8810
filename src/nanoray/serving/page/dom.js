// Finding and making elements.

/** The element with an id. */
export const find = (id) => document.getElementById(id);

/** An element with text, attributes and children; attributes that are null or false are left out. */
export function element(name, text = "", attributes = {}, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter(Boolean));
  return made;
}

/** Pairs of term and description for a description list; pairs without a value are left out. */
export function pairs(entries) {
  return entries
    .filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
    .flatMap(([term, value]) => {
      const description = element("dd");
      description.append(value instanceof Node ? value : String(value));
      return [element("dt", term), description];
    });
}

/** Download text or bytes as a file. */
export function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", "", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
