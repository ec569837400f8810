/** The one detector of the app, loaded when the app starts. */

import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { Detector } from "./detector";
import { packagedModel } from "./modelfile";
import { openSession } from "./session";

export interface DetectorState {
  readonly detector: Detector | null;
  readonly error: string | null;
  readonly retry: () => void;
}

const Context = createContext<DetectorState>({ detector: null, error: null, retry: () => undefined });

export function useDetector(): DetectorState {
  return useContext(Context);
}

/** Loads the packaged model, or gives the detector that a test hands in. */
export function DetectorProvider({ children, detector: given }: { children: ReactNode; detector?: Detector }) {
  const [detector, setDetector] = useState<Detector | null>(given ?? null);
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    if (given) return;
    let current = true;
    packagedModel()
      .then((model) => Detector.load(model, openSession))
      .then((loaded) => current && setDetector(loaded))
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
  const state = useMemo(() => ({ detector, error, retry }), [detector, error, retry]);
  return <Context.Provider value={state}>{children}</Context.Provider>;
}
