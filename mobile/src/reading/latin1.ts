/**
 * Latin-1 for PNG's texts: Expo's TextDecoder on devices knows UTF-8 only, and fast-png asks for
 * Latin-1 when it is loaded.
 */

const latin1 = {
  encoding: "latin1",
  decode: (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""),
};

if (!knows("latin1")) {
  globalThis.TextDecoder = new Proxy(TextDecoder, {
    construct: (decoder, [label, options]: [string?, TextDecoderOptions?]) =>
      label === "latin1" ? latin1 : new decoder(label, options),
  });
}

function knows(label: string): boolean {
  try {
    return Boolean(new TextDecoder(label));
  } catch {
    return false;
  }
}

export {};
