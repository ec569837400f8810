/**
 * The one interface between the app and whatever runs the network.
 *
 * `session.ts` (devices) and `session.web.ts` implement it with ONNX Runtime, on the same file as
 * Python; another runtime only has to give these three outputs.
 */

/** What the network gives for one square. */
export interface Outputs {
  readonly logit: number;
  /** Row by row; plus the card's `camBias` the local evidence, whose pooling is the logit. */
  readonly cam: Float32Array;
  readonly camRows: number;
  readonly camColumns: number;
  readonly novelty: number;
  /** Probability that the radiograph is upright and no negative; 1 where the network does not tell. */
  readonly upright: number;
  /** Logit of AP against PA; null where the network does not tell. */
  readonly view: number | null;
}

/** A loaded network. */
export interface Session {
  /** Run on one float32 square [size, size] in 0..1, bright bone, padding 0. */
  run(square: Float32Array, size: number): Promise<Outputs>;
}

/** The part of ONNX Runtime's JavaScript interface that is the same on every platform. */
interface OrtSession {
  run(feeds: Record<string, unknown>): Promise<Record<string, OrtOutput | undefined>>;
}

interface OrtOutput {
  readonly data: unknown;
  readonly dims: readonly number[];
}

type MakeTensor = (data: Float32Array, dims: number[]) => unknown;

/** A session of ONNX Runtime as a `Session`; runs wait for each other. */
export function fromOrt(session: OrtSession, tensor: MakeTensor): Session {
  let last: Promise<unknown> = Promise.resolve();
  const run = async (square: Float32Array, size: number): Promise<Outputs> => {
    const found = await session.run({ radiograph: tensor(square, [1, 1, size, size]) });
    const { logit, cam, novelty, pose, view } = found;
    if (!logit || !cam || !novelty) throw new Error("the network lacks an output");
    const [camRows, camColumns] = cam.dims.slice(-2) as [number, number];
    return {
      logit: first(logit),
      // A copy: the memory may be the runtime's.
      cam: Float32Array.from(cam.data as Float32Array),
      camRows,
      camColumns,
      novelty: first(novelty),
      upright: pose ? uprightShare(pose.data as Float32Array) : 1,
      view: view ? first(view) : null,
    };
  };
  return {
    run(square, size) {
      // The WebAssembly build breaks when two runs overlap.
      const next = last.then(() => run(square, size));
      last = next.catch(() => undefined);
      return next;
    },
  };
}

/** Softmax of the poses' logits, of which the first is upright. */
function uprightShare(logits: Float32Array): number {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.exp(logits[0]! - highest) / logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
}

function first(output: OrtOutput): number {
  return (output.data as Float32Array)[0] ?? NaN;
}
