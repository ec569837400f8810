/**
 * Files, gallery and camera in a browser: an input element, whose files are taken as they are.
 *
 * Expo's picker refuses a file without a picture's media type, and browsers know none for HEIC on many
 * systems; it also decodes each picture once for its size.
 */

import type { PickedFile } from "@/screens/Workbench";

/** Any number of files; none if the user changed their mind. */
export async function pickFiles(): Promise<PickedFile[]> {
  return (await chosen({ multiple: true })).map(asPicked);
}

/** Any number of pictures. */
export async function pickFromGallery(): Promise<PickedFile[]> {
  return (await chosen({ multiple: true, accept: "image/*" })).map(asPicked);
}

/** A new photograph; null if none was taken. The browser asks for permission itself. */
export async function takePhotograph(): Promise<PickedFile | "denied" | null> {
  const [taken] = await chosen({ multiple: false, accept: "image/*", capture: "environment" });
  return taken ? { ...asPicked(taken), camera: true } : null;
}

function asPicked(file: File): PickedFile {
  return { name: file.name, content: () => Promise.resolve(file) };
}

function chosen({ multiple, accept, capture }: { multiple: boolean; accept?: string; capture?: string }): Promise<File[]> {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = multiple;
  input.hidden = true;
  if (accept) input.accept = accept;
  if (capture) input.setAttribute("capture", capture);
  document.body.append(input);
  return new Promise((resolve) => {
    const end = () => {
      input.remove();
      resolve([...(input.files ?? [])]);
    };
    input.addEventListener("change", end, { once: true });
    input.addEventListener("cancel", end, { once: true });
    input.click();
  });
}
