// A radiograph on a canvas: window and level, zoom, measuring, and the outlined map over it.

import { outlines } from "./region.js";
import { request } from "./service.js";
import { number, t } from "./words.js";

const MAX_ZOOM = 40;
const START = { level: 0.5, window: 1, zoom: 1, x: 0, y: 0, inverted: false };
const OUTLINE = "#ffd24a";
const TINT = "rgb(255 210 74 / 12%)";
const MEASURE = "#7fe3ff";

/** Windows by name, over grey values in 0..1; "auto" fits the picture. */
export const PRESETS = {
  full: { level: 0.5, window: 1 },
  lungs: { level: 0.35, window: 0.6 },
  mediastinum: { level: 0.68, window: 0.55 },
  contrast: { level: 0.5, window: 0.5 },
  auto: null,
};

/** One image of a study on a canvas; `changed(film)` is called when what is shown has changed. */
export class Film {
  constructor(figure, image, { showsMap, changed }) {
    this.image = image;
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.note = figure.querySelector(".film-note");
    this.changed = changed;
    this.picture = null;
    this.full = false;
    this.measuring = false;
    this.lines = [];
    // Never over an image on which the detector abstains.
    const opinion = image.status === "done" && image.decision !== "abstained" && image.in_scope !== false;
    this.map = showsMap && opinion ? image.heatmap : null;
    this.regions = this.map ? outlines(this.map, image.threshold) : [];
    this.mapShown = false;
    Object.assign(this, START);
    this.#listen();
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(this.canvas.parentElement);
  }

  #observer;
  #toned = null;
  #waiting = false;
  #gone = false;

  /** Load the picture, at screen or at full resolution. */
  async load(full = false) {
    if (this.image.status !== "done") {
      this.note.textContent = t(this.image.status === "queued" ? "film.queued" : "film.unreadable");
      return;
    }
    this.note.textContent = t("film.loading");
    try {
      const where = `/v1/predictions/${this.image.id}/pixels${full ? "?full=true" : ""}`;
      const answer = await request(where);
      const rows = Number(answer.headers.get("X-Rows"));
      const columns = Number(answer.headers.get("X-Columns"));
      const values = new Uint16Array(await answer.arrayBuffer());
      if (this.#gone) return;
      this.picture = { rows, columns, values };
      this.full = full || Math.max(rows, columns) >= Math.max(this.image.facts.rows, this.image.facts.columns);
      this.#toned = null;
      this.note.textContent = "";
      this.draw();
      this.canvas.dataset.shown = this.image.id;
    } catch (error) {
      if (!this.#gone) this.note.textContent = t("film.failed", { reason: error.message });
    }
  }

  /** Release the picture. */
  close() {
    this.#gone = true;
    this.picture = this.#toned = null;
    this.#observer.disconnect();
  }

  /** Reset the display, without the map. */
  reset() {
    this.lines = [];
    this.mapShown = false;
    this.set(START);
  }

  /** Apply a window by name. */
  preset(name) {
    this.set(PRESETS[name] ?? this.#fitted());
  }

  // The window from the 1st to the 99th percentile of the pixels without a black border.
  #fitted() {
    if (!this.picture) return PRESETS.full;
    const counts = new Uint32Array(4096);
    let total = 0;
    for (const value of this.picture.values) {
      if (value > 256) {
        counts[value >> 4]++;
        total++;
      }
    }
    const quantile = (share) => {
      let seen = 0;
      for (let bin = 0; bin < 4096; bin++) {
        seen += counts[bin];
        if (seen >= share * total) return bin / 4095;
      }
      return 1;
    };
    const [low, high] = [quantile(0.01), quantile(0.99)];
    return { level: (low + high) / 2, window: Math.max(0.02, high - low) };
  }

  /** Change some of level, window, zoom, x, y, inverted, mapShown and measuring. */
  set(values) {
    Object.assign(this, values);
    this.level = Math.min(1, Math.max(0, this.level));
    this.window = Math.min(2, Math.max(0.01, this.window));
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom));
    const reach = (this.zoom - 1) / (2 * this.zoom) + 0.05;
    this.x = Math.min(reach, Math.max(-reach, this.x));
    this.y = Math.min(reach, Math.max(-reach, this.y));
    if ("level" in values || "window" in values || "inverted" in values) this.#toned = null;
    this.draw();
  }

  /** Show one pixel of the file as one pixel of the screen. */
  async onePixel() {
    if (!this.full) await this.load(true);
    if (this.picture) this.set({ zoom: 1 / this.#fit() });
  }

  /** Whether there is a map, and whether any of it reaches the threshold. */
  get hasMap() {
    return this.map !== null && this.map !== undefined;
  }

  /** Draw in the next frame. */
  draw() {
    this.changed?.(this);
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      if (!this.#gone) this.#paint();
    });
  }

  #resize() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const scale = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(box.width * scale), Math.round(box.height * scale)];
    if (width && height && (width !== this.canvas.width || height !== this.canvas.height)) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.draw();
    }
  }

  // Grey values through window and level (DICOM PS3.3 C.11.2.1.3.2, LINEAR_EXACT), as an image.
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

  // Screen pixels for one pixel of the picture when it fits the view.
  #fit() {
    const { canvas, picture } = this;
    return Math.min(canvas.width / picture.columns, canvas.height / picture.rows);
  }

  #place() {
    const { canvas, picture } = this;
    const scale = this.#fit() * this.zoom;
    const [width, height] = [picture.columns * scale, picture.rows * scale];
    const left = (canvas.width - width) / 2 + this.x * width;
    const top = (canvas.height - height) / 2 + this.y * height;
    return { left, top, width, height, scale };
  }

  #paint() {
    const { canvas, picture } = this;
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!picture) return;
    this.#toned ??= this.#tone();
    const { left, top, width, height, scale } = this.#place();
    context.imageSmoothingEnabled = scale < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#toned, left, top, width, height);
    if (this.mapShown) this.#paintMap(context, left, top, width, height);
    this.#paintLines(context);
  }

  #paintMap(context, left, top, width, height) {
    const unit = window.devicePixelRatio || 1;
    const path = new Path2D();
    for (const points of this.regions) {
      points.forEach(([x, y], index) => {
        path[index ? "lineTo" : "moveTo"](left + x * width, top + y * height);
      });
      path.closePath();
    }
    context.fillStyle = TINT;
    context.fill(path, "evenodd");
    context.lineJoin = "round";
    context.strokeStyle = "rgb(0 0 0 / 70%)";
    context.lineWidth = 4 * unit;
    context.stroke(path);
    context.strokeStyle = OUTLINE;
    context.lineWidth = 2 * unit;
    context.stroke(path);
  }

  // Measuring.

  /** Length of a line of two points in 0..1 x 0..1: in millimetres where the spacing is known. */
  length([[x1, y1], [x2, y2]]) {
    const { rows, columns, pixel_spacing_mm: spacing } = this.image.facts;
    const [dx, dy] = [(x2 - x1) * columns, (y2 - y1) * rows];
    if (!spacing) return t("measure.pixels", { length: number(Math.hypot(dx, dy), 0) });
    const [rowSpacing, columnSpacing] = spacing;
    return t("measure.mm", { length: number(Math.hypot(dx * columnSpacing, dy * rowSpacing), 1) });
  }

  #paintLines(context) {
    const { left, top, width, height } = this.#place();
    const unit = window.devicePixelRatio || 1;
    context.font = `${14 * unit}px system-ui, sans-serif`;
    context.direction = "ltr";
    for (const line of this.lines) {
      const [[x1, y1], [x2, y2]] = line.map(([x, y]) => [left + x * width, top + y * height]);
      context.lineWidth = 4 * unit;
      context.strokeStyle = "rgb(0 0 0 / 70%)";
      for (const [colour, thick] of [["rgb(0 0 0 / 70%)", 4], [MEASURE, 1.5]]) {
        context.strokeStyle = colour;
        context.lineWidth = thick * unit;
        context.beginPath();
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
        context.stroke();
      }
      const text = this.length(line);
      const wide = context.measureText(text).width;
      const at = [Math.min(Math.max(4, x2 + 8 * unit), context.canvas.width - wide - 4), y2 - 8 * unit];
      context.lineWidth = 4 * unit;
      context.strokeStyle = "#000";
      context.strokeText(text, ...at);
      context.fillStyle = MEASURE;
      context.fillText(text, ...at);
    }
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const unit = this.canvas.width / box.width;
    const { left, top, width, height } = this.#place();
    const inside = (value) => Math.min(1, Math.max(0, value));
    return [
      inside(((event.clientX - box.left) * unit - left) / width),
      inside(((event.clientY - box.top) * unit - top) / height),
    ];
  }

  /** Zoom by a factor, keeping the point under the pointer in place. */
  zoomAt(factor, event = null) {
    if (!this.picture) return;
    const box = this.canvas.getBoundingClientRect();
    const zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    if (!event) return this.set({ zoom });
    const unit = this.canvas.width / box.width;
    const { width, height } = this.#place();
    const from = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    const by = zoom / this.zoom;
    // In shares of the picture as it is drawn after the change.
    return this.set({
      zoom,
      x: this.x + (from[0] * unit * (1 - by)) / (width * by),
      y: this.y + (from[1] * unit * (1 - by)) / (height * by),
    });
  }

  #listen() {
    const { canvas } = this;
    const pointers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
      if (this.measuring && this.picture && pointers.size === 1) {
        const at = this.#at(event);
        this.lines.push([at, at]);
      }
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => {
        pointers.delete(event.pointerId);
        const last = this.lines.at(-1);
        if (this.measuring && last && Math.hypot(last[0][0] - last[1][0], last[0][1] - last[1][1]) < 0.003) {
          this.lines.pop();
          this.draw();
        }
      });
    }
    canvas.addEventListener("pointermove", (event) => {
      const last = pointers.get(event.pointerId);
      if (!last || !this.picture) return;
      pointers.set(event.pointerId, event);
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      const box = canvas.getBoundingClientRect();
      const unit = canvas.width / box.width;
      if (pointers.size === 2) {
        const [other] = [...pointers.values()].filter((p) => p.pointerId !== event.pointerId);
        const spread = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
        this.zoomAt(spread(event) / Math.max(1, spread(last)), event);
        this.#move((dx * unit) / 2, (dy * unit) / 2);
      } else if (this.measuring) {
        this.lines.at(-1)[1] = this.#at(event);
        this.draw();
      } else if (event.shiftKey || event.buttons & 6 || event.pointerType === "touch") {
        this.#move(dx * unit, dy * unit);
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
        this.zoomAt(Math.exp(-event.deltaY / 400), event);
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", () => this.reset());
  }

  #move(dx, dy) {
    const { width, height } = this.#place();
    this.set({ x: this.x + dx / width, y: this.y + dy / height });
  }
}
