/** Numbers as writers really store them in text (`nanoray.reading.dicom.values`). */

// With a decimal point or comma, and perhaps a unit: "2047.5", "2047,5", "2047 HU".
const NUMBER = /^([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*[A-Za-z%/]*$/;
// "1,024" is 1.024 to one writer and 1024 to another. No group of thousands begins with 0.
const AMBIGUOUS = /^[+-]?[1-9]\d{0,2},\d{3}(?!\d)/;

/** The number in a decimal string (VR DS); null for what two readers would read differently. */
export function decimal(text: string): number | null {
  const plain = text.replace(/^[ \0\t\r\n]+|[ \0\t\r\n]+$/g, "");
  const match = NUMBER.exec(plain);
  if (!match || AMBIGUOUS.test(plain)) return null;
  const number = Number(match[1]!.replaceAll(",", "."));
  return Number.isFinite(number) ? number : null;
}

/** All values of a decimal string, null in place of one that is no number; none of an empty text. */
export function decimals(text: string | null): (number | null)[] {
  return text === null ? [] : text.split("\\").map(decimal);
}
