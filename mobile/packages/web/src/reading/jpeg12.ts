/**
 * JPEG of 12 bits, sequential with Huffman coding, one component (ITU-T T.81 process 4).
 *
 * libjpeg-turbo's build for browsers reads 8 bits only, and no package on npm that decodes 12 is
 * below 4 MB. The inverse transform is computed in floating point and exact; decoders that compute in
 * integers differ by up to two of 4,096 levels.
 */

import type { Frame } from "./codecs";
import { jpegSegments } from "./codestream";
import { Refusal } from "./refusals";

const DQT = 0xdb;
const SOF1 = 0xc1;
const DHT = 0xc4;
const DRI = 0xdd;

// Order in which the coefficients of a block are coded (T.81 figure A.6).
const ZIGZAG = zigzag();
const COSINES = cosines();

interface Header {
  readonly rows: number;
  readonly columns: number;
  readonly precision: number;
  readonly quantization: Uint16Array;
  readonly dc: HuffmanTable;
  readonly ac: HuffmanTable;
  readonly restart: number;
  readonly scan: number;
}

/** Codes of up to 16 bits (T.81 F.2.2.3): by length, the largest code and where its values begin. */
interface HuffmanTable {
  readonly largest: Int32Array;
  readonly offset: Int32Array;
  readonly values: Uint8Array;
}

export function decodeJpeg12(file: Uint8Array): Frame {
  const header = readHeader(file);
  const { rows, columns, restart } = header;
  const [down, across] = [Math.ceil(rows / 8), Math.ceil(columns / 8)];
  const data = new Uint16Array(rows * columns);
  const most = 2 ** header.precision - 1;
  const bits = new Bits(file, header.scan);
  const coefficients = new Float64Array(64);
  const block = new Float64Array(64);
  let previous = 0;
  for (let number = 0; number < down * across; number++) {
    if (restart && number && number % restart === 0) {
      bits.restart();
      previous = 0;
    }
    coefficients.fill(0);
    previous += bits.signed(bits.symbol(header.dc));
    coefficients[0] = previous * header.quantization[0]!;
    for (let k = 1; k < 64; k++) {
      const symbol = bits.symbol(header.ac);
      const size = symbol & 15;
      if (!size && symbol !== 0xf0) break;
      k += symbol >> 4;
      if (k > 63) throw new Refusal("decoder");
      if (size) coefficients[ZIGZAG[k]!] = bits.signed(size) * header.quantization[k]!;
    }
    invert(coefficients, block);
    const [top, left] = [8 * Math.floor(number / across), 8 * (number % across)];
    for (let y = 0; y < 8 && top + y < rows; y++) {
      for (let x = 0; x < 8 && left + x < columns; x++) {
        const level = Math.round(block[8 * y + x]! + (most + 1) / 2);
        data[(top + y) * columns + left + x] = Math.min(most, Math.max(0, level));
      }
    }
  }
  return { data, rows, columns, samples: 1 };
}

function readHeader(file: Uint8Array): Header {
  const quantizations = new Map<number, Uint16Array>();
  const tables = new Map<number, HuffmanTable>();
  let frame: { rows: number; columns: number; precision: number; quantization: number } | null = null;
  let restart = 0;
  let end = 2;
  for (const { marker, start, length } of jpegSegments(file)) {
    const view = new DataView(file.buffer, file.byteOffset + start, length);
    end = start + length;
    if (marker === SOF1) {
      const precision = view.getUint8(0);
      const [rows, columns] = [view.getUint16(1), view.getUint16(3)];
      frame = { rows, columns, precision, quantization: view.getUint8(8) };
    } else if (marker === DRI) {
      restart = view.getUint16(0);
    } else if (marker === DQT) {
      for (let at = 0; at < length; ) {
        const [wide, name] = [view.getUint8(at) >> 4, view.getUint8(at) & 15];
        at += 1;
        const values = new Uint16Array(64);
        for (let i = 0; i < 64; i++, at += wide ? 2 : 1) values[i] = wide ? view.getUint16(at) : view.getUint8(at);
        quantizations.set(name, values);
      }
    } else if (marker === DHT) {
      for (let at = 0; at + 17 <= length; ) {
        const name = view.getUint8(at);
        const counts = file.subarray(start + at + 1, start + at + 17);
        const total = counts.reduce((sum, count) => sum + count, 0);
        tables.set(name, huffman(counts, file.subarray(start + at + 17, start + at + 17 + total)));
        at += 17 + total;
      }
    }
  }
  // The start of scan (T.81 B.2.3) follows: its length, one component and its tables, three more bytes.
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (!frame || view.getUint16(end) !== 0xffda || view.getUint8(end + 4) !== 1) throw new Refusal("decoder");
  const used = view.getUint8(end + 6);
  const [dc, ac] = [tables.get(used >> 4), tables.get(0x10 | (used & 15))];
  const quantization = quantizations.get(frame.quantization);
  if (!dc || !ac || !quantization) throw new Refusal("decoder");
  return { ...frame, quantization, dc, ac, restart, scan: end + 2 + view.getUint16(end + 2) };
}

function huffman(counts: Uint8Array, values: Uint8Array): HuffmanTable {
  const largest = new Int32Array(17).fill(-1);
  const offset = new Int32Array(17);
  let [code, at] = [0, 0];
  for (let length = 1; length <= 16; length++) {
    const count = counts[length - 1]!;
    offset[length] = at - code;
    code += count;
    at += count;
    if (count) largest[length] = code - 1;
    code <<= 1;
  }
  return { largest, offset, values };
}

/** Bits of the entropy-coded data, in which FF00 stands for FF (T.81 F.2.2.5). */
class Bits {
  private held = 0;
  private count = 0;

  constructor(
    private readonly file: Uint8Array,
    private at: number,
  ) {}

  private bit(): number {
    if (!this.count) {
      const byte = this.file[this.at];
      if (byte === undefined) throw new Refusal("decoder");
      if (byte === 0xff) {
        if (this.file[this.at + 1] !== 0) throw new Refusal("decoder");
        this.at += 1;
      }
      this.at += 1;
      this.held = byte;
      this.count = 8;
    }
    this.count -= 1;
    return (this.held >> this.count) & 1;
  }

  symbol({ largest, offset, values }: HuffmanTable): number {
    let code = 0;
    for (let length = 1; length <= 16; length++) {
      code = (code << 1) | this.bit();
      if (code <= largest[length]!) return values[code + offset[length]!]!;
    }
    throw new Refusal("decoder");
  }

  /** A number of `size` bits whose first bit is 0 when it is negative (T.81 F.2.2.1). */
  signed(size: number): number {
    if (!size) return 0;
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 2 + this.bit();
    return value < 2 ** (size - 1) ? value - 2 ** size + 1 : value;
  }

  /** Go past the next restart marker. */
  restart(): void {
    this.count = 0;
    while (this.file[this.at] === 0xff && this.file[this.at + 1] === 0xff) this.at += 1;
    const marker = this.file[this.at + 1] ?? 0;
    if (this.file[this.at] !== 0xff || marker < 0xd0 || marker > 0xd7) throw new Refusal("decoder");
    this.at += 2;
  }
}

/** The inverse cosine transform (T.81 A.3.3): rows, then columns. */
function invert(coefficients: Float64Array, block: Float64Array): void {
  const half = new Float64Array(64);
  for (let v = 0; v < 8; v++) {
    for (let x = 0; x < 8; x++) {
      let sum = 0;
      for (let u = 0; u < 8; u++) sum += coefficients[8 * v + u]! * COSINES[8 * x + u]!;
      half[8 * v + x] = sum;
    }
  }
  for (let x = 0; x < 8; x++) {
    for (let y = 0; y < 8; y++) {
      let sum = 0;
      for (let v = 0; v < 8; v++) sum += half[8 * v + x]! * COSINES[8 * y + v]!;
      block[8 * y + x] = sum;
    }
  }
}

function cosines(): Float64Array {
  return Float64Array.from({ length: 64 }, (_, i) => {
    const [x, u] = [i >> 3, i & 7];
    return (u ? 0.5 : Math.SQRT1_2 / 2) * Math.cos(((2 * x + 1) * u * Math.PI) / 16);
  });
}

function zigzag(): Uint8Array {
  const order = new Uint8Array(64);
  let [row, column] = [0, 0];
  for (let i = 0; i < 64; i++) {
    order[i] = 8 * row + column;
    const rising = (row + column) % 2 === 0;
    if (rising) {
      if (column === 7) row++;
      else if (row === 0) column++;
      else [row, column] = [row - 1, column + 1];
    } else if (row === 7) column++;
    else if (column === 0) row++;
    else [row, column] = [row + 1, column - 1];
  }
  return order;
}
