/** The projection of a frontal radiograph (`nanoray.detecting.views`). */

export type View = "AP" | "PA";

/** Logit (probability 0.9) from which a view read from the pixels is used. */
const CERTAIN = Math.log(9);

/**
 * The view of the header, or else of the pixels; null if both are unknown.
 *
 * `logit` is the model's output `view`, AP against PA; null if the model has none.
 */
export function viewOf(header: string | null, logit: number | null): View | null {
  const tokens: readonly string[] = (header ?? "").toUpperCase().match(/[A-Z]+/g) ?? [];
  const named = new Set(tokens.filter((token) => token === "AP" || token === "PA"));
  if (named.size === 1) return named.has("AP") ? "AP" : "PA";
  // A view that is neither, for example lateral.
  if (header && !named.size) return null;
  if (logit !== null && Math.abs(logit) >= CERTAIN) return logit > 0 ? "AP" : "PA";
  return null;
}
