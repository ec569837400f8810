// One study: its images side by side, its result, and its reviews.

import { element, find, pairs } from "./dom.js";
import { Film, PRESETS } from "./film.js";
import { names } from "./uploads.js";
import {
  day,
  flagWords,
  imageProbability,
  imageVerdict,
  moment,
  number,
  percent,
  pointsOf,
  probability,
  signed,
  t,
  tOr,
  tone,
  verdictWords,
  viewWords,
} from "./words.js";

const SIDE_BY_SIDE = 4;

/** Shows a study; `changed()` is called when the way that it is shown has changed. */
export class StudyView {
  constructor({ changed }) {
    this.changed = changed;
    this.study = null;
    this.films = [];
    this.active = 0;
    this.session = null;
    this.model = null;
    this.together = localStorage.getItem("nanoray-together") !== "no";
    for (const [id, name] of [["level", "level"], ["window", "window"], ["zoom", "zoom"]]) {
      const scale = id === "zoom" ? 100 : 1000;
      find(id).addEventListener("input", (event) => this.film?.set({ [name]: event.target.value / scale }));
    }
    find("controls").addEventListener("submit", (event) => event.preventDefault());
    find("preset").addEventListener("change", (event) => this.film?.preset(event.target.value));
    const presets = Object.keys(PRESETS).map((name) => element("option", t(`preset.${name}`), { value: name }));
    find("preset").replaceChildren(element("option", t("preset.own"), { value: "", disabled: true }), ...presets);
  }

  /** The film that commands apply to. */
  get film() {
    return this.films[this.active];
  }

  /** Show a study, at one of its images. */
  show(study, image = null) {
    const same = this.study?.id === study.id && sameImages(this.study, study);
    this.study = study;
    find("nothing").hidden = true;
    find("shown").hidden = false;
    this.#head();
    if (!same) {
      const index = study.image_list.findIndex((item) => item.id === image);
      const first = study.image_list.findIndex((item) => item.in_scope && item.status === "done");
      this.active = Math.max(0, index >= 0 ? index : first);
      this.#open();
    }
    this.#findings();
  }

  /** Show nothing. */
  clear() {
    this.#close();
    this.study = null;
    find("shown").hidden = true;
    find("nothing").hidden = false;
  }

  /** Make one of the images the active one. */
  choose(index) {
    const count = this.study?.image_list.length ?? 0;
    if (!count) return;
    this.active = (index + count) % count;
    const shown = this.film?.figure.isConnected;
    if (!shown) this.#open();
    this.#marks();
    this.#findings();
    this.changed();
  }

  /** Show all images side by side, or one at a time. */
  toggleTogether() {
    this.together = !this.together;
    localStorage.setItem("nanoray-together", this.together ? "yes" : "no");
    this.#open();
  }

  #close() {
    for (const film of this.films) film?.close();
    this.films = [];
  }

  #open() {
    this.#close();
    const images = this.study.image_list;
    const readable = images.flatMap((image, index) => (image.status === "done" ? [index] : []));
    const together = this.together && readable.length > 1 && readable.includes(this.active);
    // The first that fit, moved on so far that the active one is among them.
    const start = Math.max(0, readable.indexOf(this.active) - SIDE_BY_SIDE + 1);
    const seen = together ? readable.slice(start, start + SIDE_BY_SIDE) : [this.active];
    const figures = images.map((image, index) => {
      if (!seen.includes(index)) return null;
      const figure = this.#figure(image, index);
      const film = new Film(figure, image, {
        showsMap: this.session.shows_map,
        changed: (changed) => {
          if (this.films[this.active] === changed) this.#controls();
        },
      });
      this.films[index] = film;
      return figure;
    });
    find("films").replaceChildren(...figures.filter(Boolean));
    find("films").classList.toggle("several", together);
    if (this.session.stores) {
      for (const film of this.films) film?.load();
    } else {
      for (const film of this.films) if (film) film.note.textContent = t("film.notKept");
    }
    this.#marks();
    this.#controls();
  }

  #figure(image, index) {
    const canvas = element("canvas", "", { tabindex: 0, role: "img", "aria-describedby": "canvas-hint", "data-image": image.id });
    canvas.setAttribute("aria-label", t("film.label", { name: this.#imageName(image, index), verdict: verdictWords(imageVerdict(image)) }));
    const figure = element(
      "figure",
      "",
      { class: "film" },
      canvas,
      element("p", "", { class: "film-note", role: "status" }),
      element("figcaption", "", { class: "film-caption" }, element("bdi", this.#imageName(image, index)), ` · ${t("notice.short")}`),
    );
    const activate = () => {
      if (this.active !== index) this.choose(index);
    };
    canvas.addEventListener("pointerdown", activate);
    canvas.addEventListener("focus", activate);
    return figure;
  }

  #imageName(image, index) {
    const own = image.view ?? image.facts.view;
    const view = image.lateral ? t("study.lateral", { view: image.facts.view ?? "" }) : own;
    return [t("study.image", { number: index + 1 }), view?.trim()].filter(Boolean).join(" · ");
  }

  #marks() {
    const images = this.study.image_list;
    this.films.forEach((film, index) => film?.figure.classList.toggle("active", index === this.active && images.length > 1));
    find("images").hidden = images.length < 2;
    find("image-buttons").replaceChildren(
      ...images.map((image, index) => {
        const button = element("button", this.#imageName(image, index), { type: "button", class: "quiet", "aria-pressed": String(index === this.active) });
        button.addEventListener("click", () => this.choose(index));
        return button;
      }),
    );
    find("together").setAttribute("aria-pressed", String(this.together));
  }

  #controls() {
    const { film } = this;
    if (!film) return;
    find("level").value = Math.round(1000 * film.level);
    find("window").value = Math.round(1000 * film.window);
    find("zoom").value = Math.round(100 * film.zoom);
    const preset = Object.entries(PRESETS).find(([, p]) => p && p.level === film.level && p.window === film.window);
    find("preset").value = preset?.[0] ?? "";
    find("invert").setAttribute("aria-pressed", String(film.inverted));
    find("measure").setAttribute("aria-pressed", String(film.measuring));
    find("map").hidden = !this.session.shows_map;
    find("map").disabled = !film.hasMap;
    find("map").setAttribute("aria-pressed", String(film.mapShown));
    find("full").disabled = film.full || !film.picture;
    find("legend").hidden = !film.mapShown;
    find("legend-text").textContent = film.regions.length
      ? t("map.legend", { threshold: probability(film.image.threshold) })
      : t("map.none", { threshold: probability(film.image.threshold) });
    this.changed();
  }

  #head() {
    const { study } = this;
    const { patient } = study;
    find("shown").className = tone(study.verdict);
    find("decision").textContent = verdictWords(study.verdict);
    find("title").textContent = patient?.name || patient?.id || names.get(study.id) || t("study.unnamed", { id: study.id.slice(0, 8) });
    const parts = [
      patient?.name && patient.id,
      patient?.birth_date && t("study.born", { date: day(patient.birth_date) }),
      patient?.sex && tOr(`sex.${patient.sex}`, patient.sex),
      patient?.accession && t("study.accession", { number: patient.accession }),
      patient?.study_date && t("study.date", { date: day(patient.study_date) }),
      patient?.description,
      t("study.received", { time: moment(study.received_at), origin: t(`origin.${study.origin}`) }),
    ];
    find("subtitle").replaceChildren(...parts.filter(Boolean).map((part) => element("bdi", part)));
    const link = find("viewer-link");
    link.hidden = !patient?.viewer_url;
    if (patient?.viewer_url) link.href = patient.viewer_url;
    find("read").setAttribute("aria-pressed", String(Boolean(study.read_at)));
    find("read").textContent = study.read_at ? t("study.markUnread") : t("study.markRead");
  }

  #findings() {
    const { study, model } = this;
    const image = study.image_list[this.active];
    find("probability").textContent = probability(study.probability);
    find("meter").replaceChildren(...this.#meter());
    find("reason").textContent = image ? this.#reason(image) : "";
    const flags = [...new Set(study.image_list.flatMap((item) => item.flags))];
    find("flags").replaceChildren(...flags.map((flag) => element("li", flagWords(flag, model))));
    find("points").replaceChildren(...this.#points());
    find("image-results").replaceChildren(
      ...study.image_list.map((item, index) =>
        element(
          "tr",
          "",
          {},
          element("th", this.#imageName(item, index), { scope: "row" }),
          element("td", verdictWords(imageVerdict(item))),
          element("td", probability(imageProbability(item)), { class: "number" }),
          element("td", imageProbability(item) === null ? "–" : probability(item.threshold), { class: "number" }),
        ),
      ),
    );
    find("several-images").hidden = study.image_list.length < 2;
    find("priors").hidden = !study.priors.length;
    find("prior-results").replaceChildren(...(study.priors.length ? this.#priors() : []));
    find("facts").replaceChildren(...(image ? this.#facts(image) : []));
    find("print-notice").textContent = t("notice.long");
    this.#review();
    this.#deliveries();
  }

  /** The study and the earlier radiographs, the latest first. */
  #priors() {
    const { study } = this;
    const row = (name, item, change) =>
      element(
        "tr",
        "",
        {},
        element("th", [name, item.view && viewWords(item.view)].filter(Boolean).join(" · "), { scope: "row" }),
        element("td", probability(item.probability), { class: "number" }),
        element("td", change, { class: "number" }),
        element("td", verdictWords(item.verdict)),
      );
    const earlier = study.priors.map((prior) => row(day(prior.date) || t("priors.undated"), prior, signed(prior.change)));
    return [row(t("priors.this"), study, "–"), ...earlier];
  }

  #reason(image) {
    const { model } = this;
    if (image.status === "queued") return t("reason.queued");
    if (image.error) return t("reason.unreadable", { detail: tOr(`refusal.${image.error.code}`, image.error.detail) });
    if (imageVerdict(image) === "out of scope") {
      return t("reason.outOfScope", { flags: image.flags.map((flag) => flagWords(flag, model)).join(", ") });
    }
    if (image.decision === "abstained") return t("reason.abstained");
    return t("reason.given", {
      target: tOr(`target.${model.card.target}`, model.card.target),
      point: image.operating_point ? tOr(`point.${image.operating_point}`, image.operating_point) : t("point.own"),
      threshold: probability(image.threshold),
    });
  }

  #meter() {
    const filled = element("i");
    filled.style.width = `${100 * (this.study.probability ?? 0)}%`;
    const marks = pointsOf(this.model.card, this.study.view).map((point) => {
      const mark = element("b", "", { title: `${tOr(`point.${point.name}`, point.name)}: ${probability(point.threshold)}` });
      mark.style.insetInlineStart = `${100 * point.threshold}%`;
      return mark;
    });
    return [filled, ...marks];
  }

  #points() {
    const { card } = this.model;
    const image = this.study.image_list[this.active];
    const share = ([value, low, high]) => `${percent(value)} (${percent(low)}–${percent(high)})`;
    const rows = pointsOf(card, image?.view).map((point) => {
      // Figures of the test cases. On the cases that chose the threshold they would be too good.
      const figures = ["sensitivity", "specificity"].map((name) => {
        const tested = card.metrics?.[`${point.name} ${name}`];
        return tested ? share(tested) : t("points.untested");
      });
      const given = image ? imageProbability(image) : null;
      return element(
        "tr",
        "",
        point.name === image?.operating_point ? { class: "used" } : {},
        element("th", tOr(`point.${point.name}`, point.name), { scope: "row" }),
        element("td", probability(point.threshold), { class: "number" }),
        ...figures.map((figure) => element("td", figure, { class: "number" })),
        element("td", given === null ? "–" : t(given >= point.threshold ? "points.reached" : "points.below")),
      );
    });
    return rows;
  }

  #facts(image) {
    const given = image.facts;
    const spacing = given.pixel_spacing_mm;
    const time = image.read_milliseconds === null ? null : image.read_milliseconds + (image.infer_milliseconds ?? 0);
    return pairs([
      [t("facts.file"), names.get(image.id)],
      [t("facts.image"), given.rows && `${number(given.columns)} × ${number(given.rows)}, ${given.format}`],
      [t("facts.view"), given.view],
      [t("facts.judgedAs"), image.view && `${viewWords(image.view)} (${t(`viewSource.${image.view_source}`)})`],
      [t("facts.spacing"), spacing && t("facts.spacingValue", { row: number(spacing[0], 3), column: number(spacing[1], 3) })],
      [t("facts.encoding"), given.transfer_syntax],
      [t("facts.novelty"), image.novelty === null ? null : number(image.novelty, 3)],
      [t("facts.model"), `${image.model} ${image.model_version}`],
      [t("facts.time"), time === null ? null : t("facts.milliseconds", { time: number(time, 0) })],
      [t("facts.sha256"), `${image.sha256.slice(0, 16)}…`],
      [t("facts.id"), image.id],
    ]);
  }

  #review() {
    const { study, session } = this;
    const { review } = study;
    find("review").hidden = !session.stores;
    const opinion = study.verdict === "opacity suspected" || study.verdict === "no opacity suspected";
    find("agree").textContent = t(opinion ? "review.agree" : "review.noOpacity");
    find("disagree").textContent = t(opinion ? "review.disagree" : "review.opacity");
    const [agree, disagree] = this.meanings();
    find("agree").setAttribute("aria-pressed", String(review?.finding === agree));
    find("disagree").setAttribute("aria-pressed", String(review?.finding === disagree));
    if (document.activeElement !== find("note")) find("note").value = review?.note ?? "";
    find("reviewed").textContent = review
      ? t("review.done", { finding: review.finding ? t(`finding.${review.finding}`) : "–", time: moment(review.reviewed_at) })
      : t("review.none");
    for (const id of ["agree", "disagree", "note", "save-note", "read"]) find(id).disabled = !session.submits;
  }

  /** The findings of the two review buttons. */
  meanings() {
    return this.study.verdict === "opacity suspected" ? ["opacity", "no opacity"] : ["no opacity", "opacity"];
  }

  #deliveries() {
    const list = this.study.deliveries ?? [];
    find("study-deliveries").hidden = !list.length;
    find("study-deliveries-list").replaceChildren(
      ...list.map((item) => element("li", "", {}, element("bdi", item.destination), ` · ${t(`delivery.${item.status}`)}`)),
    );
  }
}

function sameImages(a, b) {
  const key = (study) => study.image_list.map((image) => `${image.id} ${image.status} ${image.probability}`).join();
  return key(a) === key(b);
}
