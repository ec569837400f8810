/** The view and the body part that a header names, by its many words (`nanoray.reading.dicom.view`). */

const LATERAL_WORD = /^(LAT[LR]?|LATERAL\w*|LATERO\w*|[LR]LAT|SWIMMERS?|PROFIL\w*|SEIT\w*)$/;
// The whole of a View Position: the side of the patient that is nearer to the detector.
const LATERAL_ALONE = new Set(["L", "R", "LL", "RL", "LA", "RA", "LP", "RP"]);
const FRONTAL = new Set(["PA", "AP", "FRONTAL", "FRONT", "DV", "VD", "LLD", "RLD"]);

// Parts of words for the chest or the lungs, without accents: Body Part Examined (PS3.16 Annex L)
// has CHEST; other languages and local lists have these.
const CHEST = [
  ...["CHEST", "THORAX", "THORAKS", "TORAX", "TORAKS", "TORACE", "LUNG", "CXR"],
  ...["POUMON", "PULMO", "PULMAO", "POLMON", "BRUST", "PECHO", "PETTO", "PEITO", "POITRINE"],
  ...["BORST", "BROST", "BRYST", "KLATKA", "PLUCA", "PLICE", "PLAMAN", "HRUDNIK", "HRUD"],
  ...["GRUDN", "GRUDI", "KEUHKO", "RINTA", "RINDKERE", "MELLKAS", "GOGUS", "AKCIGER"],
  ...["KRUTINE", "KRUSKURVIS", "DADA", "NGUC", "PHOI"],
  ...["ГРУД", "ОГК", "ЛЕГК", "ΘΩΡΑΚ", "ΠΝΕΥΜ", "חזה", "صدر", "胸", "肺", "가슴", "흉부"],
];
const SPINE = ["SPINE", "SPINAL", "VERTEBR", "WIRBEL", "RACHIS", "COLUMN"];

// Blanks, signs and punctuation. Devices' engines know no Unicode property escapes.
const BETWEEN = /[\s\u0000-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f]+/;

/** The words of a text in capitals, without accents; letters of other scripts are kept. */
export function words(value: string | null): string[] {
  if (!value) return [];
  const plain = value.toUpperCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "");
  return plain.split(BETWEEN).filter(Boolean);
}

/** Whether the words of a view mean a lateral one; decubitus views are frontal, "PA LAT" is open. */
export function saysLateral(tokens: readonly string[]): boolean {
  if (tokens.some((token) => FRONTAL.has(token) || token.startsWith("DECUB"))) return false;
  return tokens.some((token) => LATERAL_WORD.test(token));
}

/** Whether a View Position means a lateral view. */
export function isLateral(view: string | null): boolean {
  const tokens = words(view);
  return saysLateral(tokens) || (tokens.length === 1 && LATERAL_ALONE.has(tokens[0]!));
}

/** Whether a Body Part Examined means the chest, in one of many languages. */
export function isChest(part: string | null): boolean {
  const joined = words(part).join("");
  return !SPINE.some((word) => joined.includes(word)) && CHEST.some((word) => joined.includes(word));
}
