/** Text of a header in its character set (PS3.5 6.1), as `nanoray.reading.dicom.character_set` decodes it. */

import "./textDecoder";

const ESCAPE = 0x1b;
const JAPANESE = /\u001b\$[@B]/;
// Escape sequences of ISO 2022.
const ESCAPES = /\u001b[\u0020-\u002f]+[\u0040-\u007e]/g;

// Labels of the Encoding Standard, by the numbers of ISO registrations.
const ENCODINGS: Readonly<Record<string, string>> = {
  ...{ "13": "shift_jis", "58": "gb18030", "87": "iso-2022-jp", "149": "euc-kr", "159": "iso-2022-jp" },
  ...{ "101": "iso-8859-2", "109": "iso-8859-3", "110": "iso-8859-4", "126": "iso-8859-7", "127": "iso-8859-6" },
  ...{ "138": "iso-8859-8", "144": "iso-8859-5", "148": "iso-8859-9", "166": "windows-874", "192": "utf-8" },
};
// Encodings in which a short text can be valid UTF-8 by chance.
const SEVERAL_BYTES = new Set(["shift_jis", "gb18030", "euc-kr"]);

// Code pages that systems write without stating them: of single bytes, then of several, as in Python.
const LEGACY = [
  ...["windows-1251", "koi8-r", "iso-8859-5", "windows-1253", "windows-1255", "windows-1256", "iso-8859-6", "windows-874"],
  ...["gb18030", "big5", "shift_jis", "euc-kr"],
];

/**
 * The readings of a value in the code pages that systems write without stating them, for comparison with known words.
 * None of plain text, of UTF-8, or below another character set than ISO_IR 100.
 */
export function legacyReadings(bytes: Uint8Array, stated: string): string[] {
  const unstated = stated.split("\\").every((name) => /^(ISO[_ ](2022 )?IR (6|100))?$/.test(name.trim()));
  if (!unstated || bytes.includes(ESCAPE) || strictly(bytes, "utf-8") !== null) return [];
  return LEGACY.flatMap((page) => strictly(bytes, page) ?? []);
}

/** The text of a value; `stated` is Specific Character Set, empty if it is absent. */
export function decoded(bytes: Uint8Array, stated: string): string {
  const latin1 = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const escaped = bytes.includes(ESCAPE);
  if (!escaped && bytes.every((byte) => byte < 0x80)) return latin1;
  const named = stated.split("\\").flatMap((name) => encodingOf(name) ?? []);
  if (!escaped && !named.some((name) => SEVERAL_BYTES.has(name))) {
    const unicode = strictly(bytes, "utf-8");
    if (unicode !== null) return unicode;
  }
  if (JAPANESE.test(latin1)) return strictly(bytes, "iso-2022-jp") ?? latin1;
  const plain = escaped ? latin1.replace(ESCAPES, "") : latin1;
  const encoding = named.at(-1);
  if (!encoding) return plain;
  return strictly(Uint8Array.from(plain, (letter) => letter.charCodeAt(0)), encoding) ?? plain;
}

function encodingOf(name: string): string | undefined {
  if (/^GB/i.test(name.trim())) return "gb18030";
  return ENCODINGS[/IR[ _](\d+)\s*$/.exec(name)?.[1] ?? ""];
}

/** The text, or null if it is not valid or the device does not know the encoding. */
function strictly(bytes: Uint8Array, encoding: string): string | null {
  try {
    const text = new TextDecoder(encoding).decode(bytes);
    return text.includes("\ufffd") ? null : text;
  } catch {
    return null;
  }
}
