/** Messages between a page and its worker. */

import type { Engine, Stage } from "./engine";
import type { RefusalCode } from "./reading/refusals";

export type Method = Exclude<keyof Engine, "card">;

export interface Request {
  readonly id: number;
  readonly method: Method | "load";
  readonly args: readonly unknown[];
}

export type Response = { readonly id: number } & (
  | { readonly stage: Stage }
  | { readonly value: unknown }
  | { readonly refusal: RefusalCode }
  | { readonly error: string }
);
