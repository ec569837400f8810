/** State shared by the screens: files in progress, results, the operating point. */

import type { Judged } from "@nanoray/web/engine";
import { Refusal, type RefusalCode } from "@nanoray/web/reading/refusals";
import type { GreyPicture } from "@nanoray/web/reading/resize";
import type { Corners } from "@nanoray/web/straightening/perspective";
import type { Photograph } from "@nanoray/web/straightening/photograph";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";

import { useEngine } from "@/detecting/EngineContext";
import { type HistoryRecord, newRecord } from "@/history/record";
import { getSetting, setSetting } from "@/history/settings";
import { history } from "@/history/store";

/** A file that the user picked; its contents are fetched when its turn comes. */
export interface PickedFile {
  readonly name: string;
  content(): Promise<Blob | Uint8Array>;
  /** It comes straight from the camera. */
  readonly camera?: boolean;
}

export type Outcome =
  | { readonly kind: "judged"; readonly record: HistoryRecord }
  | { readonly kind: "refused"; readonly name: string; readonly code: RefusalCode };

export interface Progress {
  readonly name: string;
  readonly done: number;
  readonly total: number;
  readonly stage: "reading" | "judging";
}

/** A photograph that waits to be straightened. */
export interface WaitingPhotograph {
  readonly name: string;
  readonly photograph: Photograph;
  /** Where the corners were found; null if they were not. */
  readonly corners: Corners | null;
}

/** The outcome for a single file: a result, or a photograph. */
export type Single = HistoryRecord | "photograph" | null;

interface WorkbenchState {
  readonly outcomes: readonly Outcome[];
  readonly progress: Progress | null;
  readonly point: string | null;
  /** Level of the guarantee that decisions keep; null for none. */
  readonly guarantee: number | null;
  readonly photograph: WaitingPhotograph | null;
  setPhotograph(photograph: WaitingPhotograph | null): void;
  choosePoint(name: string): void;
  chooseGuarantee(level: number | null): void;
  /** Judge files one after the other; several photographs are straightened by the corners that are found. */
  judge(files: readonly PickedFile[]): Promise<Single>;
  judgePhotograph(waiting: WaitingPhotograph, corners: Corners, inverted: boolean): Promise<Single>;
  /** A result of this session, also where it could not be kept. */
  recent(id: string): HistoryRecord | null;
  /** The radiograph of a recent result at full size. */
  detail(id: string): GreyPicture | undefined;
  stop(): void;
  clear(): void;
}

/** Number of pictures at full size in memory. */
const DETAILS = 3;

const Context = createContext<WorkbenchState | null>(null);

export function useWorkbench(): WorkbenchState {
  const state = useContext(Context);
  if (!state) throw new Error("outside WorkbenchProvider");
  return state;
}

export function WorkbenchProvider({ children }: { children: ReactNode }) {
  const { engine } = useEngine();
  const [outcomes, setOutcomes] = useState<readonly Outcome[]>([]);
  const [progress, setProgress] = useState<Progress | null>(null);
  const [point, setPoint] = useState(() => getSetting("operating-point"));
  const [guarantee, setGuarantee] = useState(() => Number(getSetting("guarantee")) || null);
  const [photograph, setPhotograph] = useState<WaitingPhotograph | null>(null);
  const cancel = useRef<AbortController | null>(null);
  const records = useRef(new Map<string, HistoryRecord>());
  const details = useRef(new Map<string, GreyPicture>());

  // A result that is deleted anywhere leaves the list of those just judged too.
  useEffect(
    () =>
      history.subscribe((gone) => {
        if (!gone) return;
        const lost = (id: string) => gone === "all" || gone.includes(id);
        for (const held of [records.current, details.current]) for (const id of [...held.keys()]) if (lost(id)) held.delete(id);
        setOutcomes((before) => {
          const left = before.filter((outcome) => outcome.kind === "refused" || !lost(outcome.record.id));
          return left.length === before.length ? before : left;
        });
      }),
    [],
  );

  const keep = useCallback(async (name: string, { prediction, detail }: Judged): Promise<HistoryRecord> => {
    const record = newRecord(name, prediction);
    records.current.set(record.id, record);
    details.current.set(record.id, detail);
    for (const id of [...details.current.keys()].slice(0, -DETAILS)) details.current.delete(id);
    // A result is valid without being stored.
    await history.put(record).catch(() => undefined);
    return record;
  }, []);

  const judge = useCallback(
    async (files: readonly PickedFile[]): Promise<Single> => {
      const controller = new AbortController();
      cancel.current = controller;
      records.current.clear();
      const found: Outcome[] = [];
      let waiting: WaitingPhotograph | null = null;
      for (const [done, file] of files.entries()) {
        if (controller.signal.aborted) break;
        const shown = { name: file.name, done: done + 1, total: files.length };
        setProgress({ ...shown, stage: "reading" });
        // Lets the screen show how far it is, between two files.
        await new Promise((resolve) => setTimeout(resolve, 0));
        try {
          if (!engine) throw new Refusal("unexpected");
          const content = await file.content().catch(() => {
            throw new Refusal("read-failed");
          });
          const answer = await engine.judge(
            content,
            {
              point,
              guarantee,
              photographs: files.length === 1 ? "hand back" : "straighten",
              camera: file.camera ?? false,
              onStage: (stage) => setProgress({ ...shown, stage }),
            },
            controller.signal,
          );
          if (answer.kind === "photograph") waiting = { ...answer, name: file.name };
          else found.push({ kind: "judged", record: await keep(file.name, answer) });
        } catch (error) {
          if (controller.signal.aborted) break;
          found.push({ kind: "refused", name: file.name, code: error instanceof Refusal ? error.code : "unexpected" });
        }
      }
      setOutcomes(found);
      setProgress(null);
      if (waiting) {
        setPhotograph(waiting);
        return "photograph";
      }
      const [only] = found;
      return files.length === 1 && only?.kind === "judged" ? only.record : null;
    },
    [engine, point, guarantee, keep],
  );

  const judgePhotograph = useCallback(
    async (waiting: WaitingPhotograph, corners: Corners, inverted: boolean): Promise<Single> => {
      try {
        if (!engine) throw new Refusal("unexpected");
        const record = await keep(
          waiting.name,
          await engine.judgePhotograph(waiting.photograph, corners, { point, guarantee, inverted }),
        );
        setOutcomes([{ kind: "judged", record }]);
        return record;
      } catch (error) {
        const code = error instanceof Refusal ? error.code : "unexpected";
        setOutcomes([{ kind: "refused", name: waiting.name, code }]);
        return null;
      }
    },
    [engine, point, guarantee, keep],
  );

  const choosePoint = useCallback((name: string) => {
    setSetting("operating-point", name);
    setPoint(name);
  }, []);
  const chooseGuarantee = useCallback((level: number | null) => {
    setSetting("guarantee", level === null ? "" : String(level));
    setGuarantee(level);
  }, []);
  const stop = useCallback(() => cancel.current?.abort(), []);
  const clear = useCallback(() => setOutcomes([]), []);
  const recent = useCallback((id: string) => records.current.get(id) ?? null, []);
  const detail = useCallback((id: string) => details.current.get(id), []);

  const state = useMemo(
    () => ({
      outcomes,
      progress,
      point,
      guarantee,
      photograph,
      setPhotograph,
      choosePoint,
      chooseGuarantee,
      judge,
      judgePhotograph,
      recent,
      detail,
      stop,
      clear,
    }),
    [outcomes, progress, point, guarantee, photograph, choosePoint, chooseGuarantee, judge, judgePhotograph, recent, detail, stop, clear],
  );
  return <Context.Provider value={state}>{children}</Context.Provider>;
}
