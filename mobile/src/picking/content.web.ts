/** The contents of a picked file, in a browser: the worker reads them. */

export async function contentOf(uri: string, file?: Blob): Promise<Blob | Uint8Array> {
  return file ?? (await fetch(uri)).blob();
}
