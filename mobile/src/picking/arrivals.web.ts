/** Pictures that are pasted, dropped, or shared by the system's share sheet. */

import { useEffect, useRef } from "react";

import { base } from "@/offline/base";
import type { PickedFile } from "@/screens/Workbench";

const SHARED = "nanoray-shared";

export function useArrivals(receive: (files: PickedFile[]) => void): void {
  const latest = useRef(receive);
  useEffect(() => {
    latest.current = receive;
  });
  useEffect(() => {
    const take = (files: FileList | undefined | null) => {
      if (files?.length) latest.current(Array.from(files, (file) => ({ name: file.name, content: () => Promise.resolve(file) })));
    };
    const paste = (event: ClipboardEvent) => take(event.clipboardData?.files);
    const over = (event: DragEvent) => event.preventDefault();
    const drop = (event: DragEvent) => {
      event.preventDefault();
      take(event.dataTransfer?.files);
    };
    document.addEventListener("paste", paste);
    document.addEventListener("dragover", over);
    document.addEventListener("drop", drop);
    if (location.search.includes("shared")) void takeShared().then((files) => files.length && latest.current(files));
    return () => {
      document.removeEventListener("paste", paste);
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", drop);
    };
  }, []);
}

/** The file that the service worker received; it is deleted once read. */
async function takeShared(): Promise<PickedFile[]> {
  window.history.replaceState(null, "", `${base()}/`);
  const cache = await caches.open(SHARED);
  const files: PickedFile[] = [];
  for (const request of await cache.keys()) {
    const response = await cache.match(request);
    if (!response) continue;
    const blob = await response.blob();
    files.push({
      name: decodeURIComponent(response.headers.get("X-Name") ?? "shared"),
      content: () => Promise.resolve(blob),
    });
    await cache.delete(request);
  }
  return files;
}
