/** Functions that run in the page: they draw pictures and add files. */

/** A drawn chest, grey, as base64 of a file of that type. */
export async function greyPicture(type) {
  const canvas = new OffscreenCanvas(320, 320);
  const context = canvas.getContext("2d");
  context.fillStyle = "#101010";
  context.fillRect(0, 0, 320, 320);
  context.fillStyle = "#b0b0b0";
  context.fillRect(40, 20, 240, 290);
  context.fillStyle = "#404040";
  for (const x of [105, 215]) {
    context.beginPath();
    context.ellipse(x, 160, 45, 105, 0, 0, 2 * Math.PI);
    context.fill();
  }
  const blob = await canvas.convertToBlob({ type, quality: 0.9 });
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}

/** A photograph: a grey rectangle, askew on a brown wall, as base64 of a JPEG file. */
export async function colouredPicture() {
  const canvas = new OffscreenCanvas(900, 1200);
  const context = canvas.getContext("2d");
  context.fillStyle = "#9a7450";
  context.fillRect(0, 0, 900, 1200);
  context.translate(450, 600);
  context.rotate(0.06);
  context.fillStyle = "#050505";
  context.fillRect(-330, -340, 660, 680);
  context.fillStyle = "#a0a0a0";
  context.fillRect(-300, -310, 600, 620);
  context.fillStyle = "#383838";
  for (const x of [-130, 130]) {
    context.beginPath();
    context.ellipse(x, 0, 90, 210, 0, 0, 2 * Math.PI);
    context.fill();
  }
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
  let text = "";
  for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Twelve megapixels of grey noise, as base64 of a JPEG file. */
export async function largePicture() {
  const canvas = new OffscreenCanvas(4000, 3000);
  const context = canvas.getContext("2d");
  for (let i = 0; i < 4000; i++) {
    const level = (i * 7919) % 256;
    context.fillStyle = `rgb(${level} ${level} ${level})`;
    context.fillRect((i * 104_729) % 4000, (i * 1_299_709) % 3000, 90, 70);
  }
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })).arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Add a file by paste or drop, or as the result of the next file picker ("pick"). */
export function hand({ how, name, content }) {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  if (how === "pick") {
    HTMLInputElement.prototype.click = function () {
      delete HTMLInputElement.prototype.click;
      this.files = data.files;
      this.dispatchEvent(new Event("change"));
    };
    return;
  }
  const event =
    how === "paste"
      ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
      : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}

/** Copy the stored result into the history until it has this number of entries. */
export async function multiply(count) {
  const database = await new Promise((resolve, reject) => {
    const request = indexedDB.open("nanoray");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const all = (store) =>
    new Promise((resolve) => {
      database.transaction(store).objectStore(store).getAll().onsuccess = (event) => resolve(event.target.result);
    });
  const [[entry], [thumbnail], [record]] = await Promise.all(["entry", "thumbnail", "record"].map(all));
  const transaction = database.transaction(["entry", "thumbnail", "record"], "readwrite");
  for (let i = 1; i < count; i++) {
    const [id, name] = [`copy-${i}`, `copy-${String(i).padStart(5, "0")}.dcm`];
    transaction.objectStore("entry").put({ ...entry, id, name });
    transaction.objectStore("thumbnail").put({ ...thumbnail, id });
    // Whole results are large; a few are enough, since lists do not read them.
    if (i < 50) transaction.objectStore("record").put({ ...record, id, name });
  }
  await new Promise((resolve) => (transaction.oncomplete = resolve));
  database.close();
}
