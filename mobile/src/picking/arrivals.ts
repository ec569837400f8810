/** Pictures that are pasted, dropped or shared from another app. In browsers only. */

import type { PickedFile } from "@/screens/Workbench";

export function useArrivals(_receive: (files: PickedFile[]) => void): void {
  // On devices the pickers are the way in.
}
