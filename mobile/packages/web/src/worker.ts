/** The worker: an engine that answers a page's requests, one after the other. */

import type { JudgeOptions } from "./engine";
import { LocalEngine } from "./engine";
import type { Request, Response } from "./protocol";
import { decodeByPlatform } from "./reading/decodeByPlatform";
import { Refusal } from "./reading/refusals";
import { openSession } from "./session";

let engine: LocalEngine | undefined;
let last: Promise<unknown> = Promise.resolve();

addEventListener("message", ({ data }: MessageEvent<Request>) => {
  last = last.then(() => answer(data));
});

async function answer({ id, method, args }: Request): Promise<void> {
  const send = (response: Response, transfer: Transferable[] = []) => postMessage(response, { transfer });
  try {
    if (method === "load") {
      engine = await LocalEngine.load(await fetchBytes(args[0] as string), openSession, decodeByPlatform);
      send({ id, value: engine.card });
      return;
    }
    if (!engine) throw new Error("the model is not loaded");
    const options: JudgeOptions = { ...(args.at(-1) as object), onStage: (stage) => send({ id, stage }) };
    const withStages: unknown[] = method === "judge" || method === "judgePhotograph" ? [...args.slice(0, -1), options] : [...args];
    const work = engine[method] as (...all: unknown[]) => Promise<unknown>;
    const value = await work.apply(engine, withStages);
    send({ id, value }, buffersIn(value));
  } catch (error) {
    if (error instanceof Refusal) send({ id, refusal: error.code });
    else if (error instanceof RangeError) send({ id, refusal: "memory" });
    else send({ id, error: error instanceof Error ? error.message : String(error) });
  }
}

async function fetchBytes(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The buffers of typed arrays, which are handed over and not copied. */
function buffersIn(value: unknown, found = new Set<ArrayBuffer>()): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
  else if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) buffersIn(inner, found);
  }
  return [...found];
}
