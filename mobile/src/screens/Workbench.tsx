/** What the screens share: the files being judged, what became of them, the chosen point. */

import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from "react";

import { useDetector } from "@/detecting/DetectorContext";
import { getSetting, setSetting } from "@/history/settings";
import { history } from "@/history/store";
import { type HistoryRecord, newRecord } from "@/history/record";
import { read } from "@/reading/read";
import type { Radiograph } from "@/reading/radiograph";
import { Refusal, type RefusalCode } from "@/reading/refusals";

/** A file that the user picked; its bytes are fetched when its turn comes. */
export interface PickedFile {
  readonly name: string;
  bytes(): Promise<Uint8Array>;
}

export type Outcome =
  | { readonly kind: "judged"; readonly record: HistoryRecord }
  | { readonly kind: "refused"; readonly name: string; readonly code: RefusalCode };

export interface Progress {
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

interface WorkbenchState {
  readonly outcomes: readonly Outcome[];
  readonly progress: Progress | null;
  readonly point: string | null;
  /** A photograph that waits to be straightened: red, green, blue, opacity. */
  readonly photograph: Photograph | null;
  setPhotograph(photograph: Photograph | null): void;
  choosePoint(name: string): void;
  /** Judge files one after the other; the record if it was a single file that could be judged. */
  judge(files: readonly PickedFile[]): Promise<HistoryRecord | null>;
  judgeRadiograph(name: string, radiograph: Radiograph): Promise<HistoryRecord | null>;
  stop(): void;
  clear(): void;
}

export interface Photograph {
  readonly name: string;
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly rows: number;
  readonly columns: number;
}

const Context = createContext<WorkbenchState | null>(null);

export function useWorkbench(): WorkbenchState {
  const state = useContext(Context);
  if (!state) throw new Error("outside WorkbenchProvider");
  return state;
}

export function WorkbenchProvider({ children }: { children: ReactNode }) {
  const { detector } = useDetector();
  const [outcomes, setOutcomes] = useState<readonly Outcome[]>([]);
  const [progress, setProgress] = useState<Progress | null>(null);
  const [point, setPoint] = useState(() => getSetting("operating-point"));
  const [photograph, setPhotograph] = useState<Photograph | null>(null);
  const stopped = useRef(false);

  const judgeOne = useCallback(
    async (name: string, radiograph: () => Promise<Radiograph>): Promise<Outcome> => {
      try {
        if (!detector) throw new Refusal("unexpected");
        const prediction = await detector.predict(await radiograph(), point);
        const record = newRecord(name, prediction);
        await history.put(record);
        return { kind: "judged", record };
      } catch (error) {
        return { kind: "refused", name, code: error instanceof Refusal ? error.code : "unexpected" };
      }
    },
    [detector, point],
  );

  const judge = useCallback(
    async (files: readonly PickedFile[]) => {
      stopped.current = false;
      const found: Outcome[] = [];
      for (const [done, file] of files.entries()) {
        if (stopped.current) break;
        setProgress({ name: file.name, done: done + 1, total: files.length });
        // Lets the screen show how far it is, between two files.
        await new Promise((resolve) => setTimeout(resolve, 0));
        found.push(
          await judgeOne(file.name, async () => {
            const bytes = await file.bytes().catch(() => {
              throw new Refusal("read-failed");
            });
            return read(bytes);
          }),
        );
      }
      setOutcomes(found);
      setProgress(null);
      const [only] = found;
      return files.length === 1 && only?.kind === "judged" ? only.record : null;
    },
    [judgeOne],
  );

  const judgeRadiograph = useCallback(
    async (name: string, radiograph: Radiograph) => {
      const outcome = await judgeOne(name, () => Promise.resolve(radiograph));
      setOutcomes([outcome]);
      return outcome.kind === "judged" ? outcome.record : null;
    },
    [judgeOne],
  );

  const choosePoint = useCallback((name: string) => {
    setSetting("operating-point", name);
    setPoint(name);
  }, []);
  const stop = useCallback(() => {
    stopped.current = true;
  }, []);
  const clear = useCallback(() => setOutcomes([]), []);

  const state = useMemo(
    () => ({
      outcomes,
      progress,
      point,
      photograph,
      setPhotograph,
      choosePoint,
      judge,
      judgeRadiograph,
      stop,
      clear,
    }),
    [outcomes, progress, point, photograph, choosePoint, judge, judgeRadiograph, stop, clear],
  );
  return <Context.Provider value={state}>{children}</Context.Provider>;
}
