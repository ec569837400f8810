/** The engine in a browser: in a worker, out of the files of `@nanoray/web`. */

import { NanoRay } from "@nanoray/web";
import type { Engine } from "@nanoray/web/engine";

import { base } from "@/offline/base";

export function loadEngine(): Promise<Engine> {
  // `build-web.mjs` names the engine's folder by its contents and writes the name into the page.
  const folder = document.querySelector<HTMLMetaElement>('meta[name="nanoray-engine"]')?.content ?? "engine";
  return NanoRay.load(`${base()}/${folder}/`);
}
