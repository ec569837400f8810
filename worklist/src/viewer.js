// The radiograph on a canvas: window and level, zoom, and the heat map over it.

import { request } from "./service.js";

const LEVEL = 0.5;
const WINDOW = 1;
const OPACITY = 0.6;
const MAX_ZOOM = 16;

/** A viewer on a canvas; `changed` is called when what is shown was changed. */
export class Viewer {
  constructor(canvas, note, changed) {
    this.canvas = canvas;
    this.note = note;
    this.changed = changed;
    this.picture = null;
    this.heat = null;
    this.turn = 0;
    this.opacity = OPACITY;
    this.reset();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  /** Back to how the radiograph is shown at first. */
  reset() {
    Object.assign(this, { level: LEVEL, window: WINDOW, zoom: 1, x: 0, y: 0, inverted: false });
    this.#toned = null;
    this.draw();
  }

  #toned = null;
  #waiting = false;

  /** Show a prediction's radiograph and, where there is one, its heat map. */
  async show(prediction) {
    const turn = ++this.turn;
    delete this.canvas.dataset.shown;
    this.picture = this.heat = null;
    this.reset();
    this.note.textContent = "Loading …";
    const where = `/v1/predictions/${prediction.id}`;
    try {
      const answer = await request(`${where}/pixels`);
      const rows = Number(answer.headers.get("X-Rows"));
      const columns = Number(answer.headers.get("X-Columns"));
      const values = new Uint16Array(await answer.arrayBuffer());
      if (turn !== this.turn) return;
      this.picture = { rows, columns, values };
      this.note.textContent = "";
      this.draw();
      if (prediction.decision !== "abstained") {
        const layer = await (await request(`${where}/heatmap.png?style=layer`)).blob();
        const heat = await createImageBitmap(layer);
        if (turn !== this.turn) return;
        this.heat = heat;
        this.draw();
      }
      this.canvas.dataset.shown = prediction.id;
    } catch (error) {
      if (turn === this.turn) this.note.textContent = `No picture: ${error.message}.`;
    }
  }

  /** Show nothing, for a reason in words. */
  clear(reason) {
    this.turn++;
    this.picture = this.heat = null;
    this.note.textContent = reason;
    this.draw();
  }

  /** Change some of level, window, zoom, x, y, opacity and inverted. */
  set(values) {
    Object.assign(this, values);
    this.level = Math.min(1, Math.max(0, this.level));
    this.window = Math.min(2, Math.max(0.01, this.window));
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom));
    this.opacity = Math.min(1, Math.max(0, this.opacity));
    const reach = (this.zoom - 1) / (2 * this.zoom);
    this.x = Math.min(reach, Math.max(-reach, this.x));
    this.y = Math.min(reach, Math.max(-reach, this.y));
    if ("level" in values || "window" in values || "inverted" in values) this.#toned = null;
    this.draw();
  }

  /** Draw at the next opportunity. */
  draw() {
    this.changed?.(this);
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#paint();
    });
  }

  #resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const scale = Math.min(2, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(box.width * scale), Math.round(box.height * scale)];
    if (width && height && (width !== this.canvas.width || height !== this.canvas.height)) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.draw();
    }
  }

  // Grey values through window and level (DICOM PS3.3 C.11.2.1.2, LINEAR_EXACT), as an image.
  #tone() {
    const { rows, columns, values } = this.picture;
    const low = this.level - this.window / 2;
    const table = new Uint8ClampedArray(4096);
    for (let index = 0; index < 4096; index++) {
      const grey = ((index / 4095 - low) / this.window) * 255;
      table[index] = this.inverted ? 255 - grey : grey;
    }
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let index = 0; index < pixels.length; index++) {
      const grey = table[values[index] >> 4];
      pixels[index] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    const made = new OffscreenCanvas(columns, rows);
    made.getContext("2d").putImageData(image, 0, 0);
    return made;
  }

  #paint() {
    const { canvas, picture } = this;
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!picture) return;
    this.#toned ??= this.#tone();
    const fit = Math.min(canvas.width / picture.columns, canvas.height / picture.rows) * this.zoom;
    const [width, height] = [picture.columns * fit, picture.rows * fit];
    const left = (canvas.width - width) / 2 + this.x * width;
    const top = (canvas.height - height) / 2 + this.y * height;
    context.imageSmoothingEnabled = fit < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#toned, left, top, width, height);
    if (this.heat && this.opacity > 0) {
      context.imageSmoothingEnabled = true;
      // The layer is at most 60 % opaque; from half of the slider's way on it is drawn again.
      for (let left_ = this.opacity * 2; left_ > 0; left_ -= 1) {
        context.globalAlpha = Math.min(1, left_);
        context.drawImage(this.heat, left, top, width, height);
      }
      context.globalAlpha = 1;
    }
  }

  // Zoom so that the point under the pointer stays where it is.
  #zoomAt(factor, event) {
    const before = this.zoom;
    const zoom = Math.min(MAX_ZOOM, Math.max(1, before * factor));
    const box = this.canvas.getBoundingClientRect();
    const share = (at, start, size, extent) => (at - start - size / 2) / extent;
    const fit = this.picture
      ? Math.min(box.width / this.picture.columns, box.height / this.picture.rows)
      : 1;
    const extent = [fit * (this.picture?.columns ?? 1), fit * (this.picture?.rows ?? 1)];
    const px = share(event.clientX, box.left, box.width, extent[0]);
    const py = share(event.clientY, box.top, box.height, extent[1]);
    this.set({
      zoom,
      x: this.x + px / zoom - px / before,
      y: this.y + py / zoom - py / before,
    });
  }

  #listen() {
    const { canvas } = this;
    const pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last) return;
      pointers.set(event.pointerId, event);
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      const box = canvas.getBoundingClientRect();
      if (pointers.size === 2) {
        const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
        const spread = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        this.#zoomAt(spread(event) / Math.max(1, spread(last)), event);
      } else if (event.shiftKey || event.buttons & 6) {
        const fit = Math.min(
          box.width / (this.picture?.columns ?? 1),
          box.height / (this.picture?.rows ?? 1),
        );
        this.set({
          x: this.x + dx / (fit * (this.picture?.columns ?? 1) * this.zoom),
          y: this.y + dy / (fit * (this.picture?.rows ?? 1) * this.zoom),
        });
      } else {
        this.set({
          window: this.window * Math.exp((2 * dx) / box.width),
          level: this.level + (0.6 * dy) / box.height,
        });
      }
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.#zoomAt(Math.exp(-event.deltaY / 400), event);
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.1 / this.zoom;
    const actions = {
      "+": { zoom: this.zoom * 1.25 },
      "=": { zoom: this.zoom * 1.25 },
      "-": { zoom: this.zoom / 1.25 },
      ArrowLeft: { x: this.x + step },
      ArrowRight: { x: this.x - step },
      ArrowUp: { y: this.y + step },
      ArrowDown: { y: this.y - step },
      w: { level: this.level - 0.03 },
      s: { level: this.level + 0.03 },
      a: { window: this.window / 1.1 },
      d: { window: this.window * 1.1 },
      h: { opacity: this.opacity > 0 ? 0 : OPACITY },
      i: { inverted: !this.inverted },
    };
    if (event.key === "0") this.reset();
    else if (actions[event.key]) this.set(actions[event.key]);
    else return;
    event.preventDefault();
  }
}
