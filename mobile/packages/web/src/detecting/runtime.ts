/**
 * The interface to the runtime of a network: ONNX Runtime, in its builds
 * for the web and for React Native, on the same file as Python.
 */

/** An array of any shape. */
export interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** A loaded network. */
export interface Session {
  /** Run on one input; the outputs by their names. */
  run(input: string, tensor: Tensor): Promise<Readonly<Record<string, Tensor>>>;
}

export type OpenSession = (model: Uint8Array) => Promise<Session>;

/** The part of ONNX Runtime's JavaScript interface that is the same on every platform. */
interface OrtSession {
  run(feeds: Record<string, unknown>): Promise<Record<string, OrtOutput | undefined>>;
}

interface OrtOutput {
  readonly data: unknown;
  readonly dims: readonly number[];
}

type MakeTensor = (data: Float32Array, dims: number[]) => unknown;

/** A session of ONNX Runtime as a `Session`; runs are serialised. */
export function fromOrt(session: OrtSession, makeTensor: MakeTensor): Session {
  let last: Promise<unknown> = Promise.resolve();
  const run = async (input: string, { data, dims }: Tensor) => {
    const found = await session.run({ [input]: makeTensor(data, [...dims]) });
    const outputs: Record<string, Tensor> = {};
    for (const [name, output] of Object.entries(found)) {
      // A copy: the memory may be the runtime's.
      if (output) outputs[name] = { data: Float32Array.from(output.data as Float32Array), dims: [...output.dims] };
    }
    return outputs;
  };
  return {
    run(input, tensor) {
      // The WebAssembly build breaks when two runs overlap.
      const next = last.then(() => run(input, tensor));
      last = next.catch(() => undefined);
      return next;
    },
  };
}
