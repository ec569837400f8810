/** A DICOM file with a JPEG-LS frame of 12 bits, made by CharLS: the shared vectors have none. */

import load from "@cornerstonejs/codec-charls";

const [ROWS, COLUMNS] = [48, 40];

export async function jpegLsDicom() {
  const { JpegLSEncoder } = await load({ print: () => undefined, printErr: () => undefined });
  const encoder = new JpegLSEncoder();
  const samples = Uint16Array.from({ length: ROWS * COLUMNS }, (_, i) => (37 * i + ((i * i) >> 5)) % 4096);
  const frame = { width: COLUMNS, height: ROWS, bitsPerSample: 12, componentCount: 1, isSigned: false };
  encoder.getDecodedBuffer(frame).set(new Uint8Array(samples.buffer));
  encoder.setNearLossless(0);
  encoder.encode();
  const coded = Buffer.from(encoder.getEncodedBuffer());
  encoder.delete();
  const padded = coded.length % 2 ? Buffer.concat([coded, Buffer.of(0)]) : coded;
  const item = (bytes) => Buffer.concat([Buffer.of(0xfe, 0xff, 0x00, 0xe0), uint32(bytes.length), bytes]);
  const pixels = Buffer.concat([
    Buffer.of(0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff),
    item(Buffer.alloc(0)),
    item(padded),
    Buffer.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0),
  ]);
  const short = (tag, value) => element(tag, "US", uint16(value));
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from("DICM"),
    element([0x0002, 0x0010], "UI", text("1.2.840.10008.1.2.4.80", "\0")),
    element([0x0008, 0x0016], "UI", text("1.2.840.10008.5.1.4.1.1.1.1", "\0")),
    short([0x0028, 0x0002], 1),
    element([0x0028, 0x0004], "CS", text("MONOCHROME2", " ")),
    short([0x0028, 0x0010], ROWS),
    short([0x0028, 0x0011], COLUMNS),
    short([0x0028, 0x0100], 16),
    short([0x0028, 0x0101], 12),
    short([0x0028, 0x0102], 11),
    short([0x0028, 0x0103], 0),
    pixels,
  ]);
}

function element([group, number], vr, value) {
  return Buffer.concat([uint16(group), uint16(number), Buffer.from(vr), uint16(value.length), value]);
}

function text(value, padding) {
  return Buffer.from(value.length % 2 ? value + padding : value);
}

function uint16(value) {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
