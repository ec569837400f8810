/** The one engine of the app, loaded when the app starts. */

import type { Engine } from "@nanoray/web/engine";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { loadEngine } from "./loadEngine";

export interface EngineState {
  readonly engine: Engine | null;
  readonly error: string | null;
  readonly retry: () => void;
}

const Context = createContext<EngineState>({ engine: null, error: null, retry: () => undefined });

export function useEngine(): EngineState {
  return useContext(Context);
}

/** Loads the packaged model, or provides a test's engine. */
export function EngineProvider({ children, engine: given }: { children: ReactNode; engine?: Engine }) {
  const [engine, setEngine] = useState<Engine | null>(given ?? null);
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (given) return;
    let current = true;
    loadEngine()
      .then((loaded) => current && setEngine(loaded))
      .catch((failure: unknown) => {
        if (current) setError(failure instanceof Error ? failure.message : String(failure));
      });
    return () => {
      current = false;
    };
  }, [given, attempt]);

  const retry = useCallback(() => {
    setError(null);
    setAttempt((number) => number + 1);
  }, []);
  const state = useMemo(() => ({ engine, error, retry }), [engine, error, retry]);
  return <Context.Provider value={state}>{children}</Context.Provider>;
}
