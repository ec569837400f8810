/**
 * Encodings that a device's TextDecoder lacks: Expo's knows UTF-8 only and throws for any other.
 *
 * fast-png asks for Latin-1 when it is loaded, and the decoders that Emscripten built ask for
 * UTF-16. Headers have more. Where they are missing, these are given here.
 */

const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => string>> = {
  latin1: (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""),
  "utf-16le": (bytes) => {
    let text = "";
    for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at]! | (bytes[at + 1]! << 8));
    return text;
  },
  // Views and body parts in Cyrillic and Greek.
  "iso-8859-5": (bytes) => shifted(bytes, 0xa1, 0x360),
  "iso-8859-7": (bytes) => shifted(bytes, 0xb4, 0x2d0),
};

/** Text whose letters from `first` on lie `by` further in Unicode; signs among them do not matter. */
function shifted(bytes: Uint8Array, first: number, by: number): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte >= first ? byte + by : byte)).join("");
}

const missing = Object.keys(DECODERS).filter((label) => !knows(label));
if (missing.length) {
  const platform = globalThis.TextDecoder;
  globalThis.TextDecoder = new Proxy(platform, {
    construct: (decoder, [label, options]: [string?, TextDecoderOptions?]) => {
      const wanted = label?.toLowerCase() ?? "utf-8";
      if (!missing.includes(wanted)) return new decoder(label, options);
      const decode = DECODERS[wanted]!;
      return {
        encoding: wanted,
        decode: (input: ArrayBuffer | ArrayBufferView) => decode(bytesOf(input)),
      };
    },
  });
}

function bytesOf(input: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(input)
    ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
    : new Uint8Array(input);
}

function knows(label: string): boolean {
  try {
    return Boolean(new TextDecoder(label));
  } catch {
    return false;
  }
}

export {};
