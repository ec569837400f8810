/**
 * NanoRay for web pages. The work is done in a worker, so the page stays responsive.
 *
 *     const nanoray = await NanoRay.load();
 *     const answer = await nanoray.judge(file, { photographs: "straighten" });
 *
 * Research use only; not a medical device.
 */

import type { ModelCard } from "./detecting/modelcard";
import type { Engine, Judged, JudgeOptions, Stage, Unstraightened } from "./engine";
import type { Method, Request, Response } from "./protocol";
import { Refusal } from "./reading/refusals";
import type { Corners } from "./straightening/perspective";
import type { Photograph } from "./straightening/photograph";
import type { Quality } from "./straightening/quality";

export type { Decision, Prediction } from "./detecting/detector";
export type { ModelCard } from "./detecting/modelcard";
export type { Engine, Judged, JudgeOptions, Stage, Unstraightened } from "./engine";
export { Refusal, REFUSALS, type RefusalCode } from "./reading/refusals";
export type { Corners } from "./straightening/perspective";
export type { Photograph } from "./straightening/photograph";
export type { Quality } from "./straightening/quality";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly onStage: ((stage: Stage) => void) | undefined;
}

/** An engine in a worker. */
export class NanoRay implements Engine {
  private waiting = new Map<number, Waiting>();
  private next = 0;
  private worker: Worker | undefined;
  private ready: Promise<ModelCard> | undefined;
  /** Available once the model is loaded. */
  card!: ModelCard;

  private constructor(private readonly folder: string) {}

  /**
   * Start a worker and load the model.
   *
   * @param URL of the folder with the package's built files; this module's own by default.
   * @throws Error if a file cannot be fetched.
   */
  static async load(folder: string | URL = new URL(".", import.meta.url)): Promise<NanoRay> {
    const nanoray = new NanoRay(new URL(folder, location.href).href.replace(/\/?$/, "/"));
    nanoray.card = await nanoray.start();
    return nanoray;
  }

  /**
   * Judge a file.
   *
   * @throws Refusal if the file holds no single readable image; an AbortError if `signal` aborts.
   */
  judge(
    file: Blob | Uint8Array,
    options: JudgeOptions = {},
    signal?: AbortSignal,
  ): Promise<Judged | Unstraightened> {
    return this.ask("judge", [file], options, signal);
  }

  judgePhotograph(
    photograph: Photograph,
    corners: Corners,
    options: JudgeOptions & { readonly inverted?: boolean } = {},
  ): Promise<Judged> {
    return this.ask("judgePhotograph", [photograph, corners], options);
  }

  findCorners(photograph: Photograph): Promise<Corners | null> {
    return this.ask("findCorners", [photograph]);
  }

  checkQuality(photograph: Photograph, corners: Corners): Promise<Quality> {
    return this.ask("checkQuality", [photograph, corners]);
  }

  /** End the worker. */
  close(): void {
    this.fail(new DOMException("closed", "AbortError"));
  }

  private async ask<T>(
    method: Method,
    args: readonly unknown[],
    options?: JudgeOptions,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    // Decoders cannot be interrupted. To cancel, the worker is ended and another one is started.
    const abort = () => this.fail(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await this.start();
      signal?.throwIfAborted();
      const { onStage, ...plain } = options ?? {};
      return (await this.post(method, options ? [...args, plain] : args, onStage)) as T;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  private start(): Promise<ModelCard> {
    if (this.ready) return this.ready;
    const worker = new Worker(`${this.folder}worker.js`, { type: "module", name: "nanoray" });
    worker.addEventListener("message", ({ data }: MessageEvent<Response>) => this.settle(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.fail(new Error(event.message || "the worker could not be started"));
    });
    this.worker = worker;
    this.ready = this.post("load", [`${this.folder}nanoray.onnx`]) as Promise<ModelCard>;
    this.ready.catch(() => {
      if (this.worker === worker) this.fail(new Error("the model could not be loaded"));
    });
    return this.ready;
  }

  private post(method: Request["method"], args: readonly unknown[], onStage?: (stage: Stage) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, { resolve, reject, onStage });
      this.worker?.postMessage({ id, method, args } satisfies Request);
    });
  }

  private settle(response: Response): void {
    const waiting = this.waiting.get(response.id);
    if (!waiting) return;
    if ("stage" in response) {
      waiting.onStage?.(response.stage);
      return;
    }
    this.waiting.delete(response.id);
    if ("value" in response) waiting.resolve(response.value);
    else if ("refusal" in response) waiting.reject(new Refusal(response.refusal));
    else waiting.reject(new Error(response.error));
  }

  /** End the worker; the next request starts another. */
  private fail(reason: unknown): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.ready = undefined;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(reason);
  }
}
