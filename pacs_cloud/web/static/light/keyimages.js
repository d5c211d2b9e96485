// Key images: marked by a star, kept as a document of the study, and found again.

import { close, open, say } from "./sheets.js";
import { ask } from "./sources.js";

const find = (selector) => document.querySelector(selector);

export class KeyImages {
  #marked = [];
  #kept = [];

  /// `go(series, instance, frame)` shows an image; `changed` is called when marks change.
  constructor(study, csrf, { go, changed }) {
    Object.assign(this, { study, csrf, go, changed });
    find("#keep")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#keep(event.target);
    });
    find("#marks").addEventListener("click", () => this.open());
  }

  get mayKeep() {
    return this.csrf !== "";
  }

  async read() {
    try {
      this.#kept = await ask(`/light/studies/${this.study}/keys`);
    } catch {
      return; // the images are there without
    }
    this.#show();
  }

  open() {
    this.#show();
    open("keys");
  }

  isMarked(place) {
    return this.#marked.some((one) => same(one, place));
  }

  isKept(place) {
    return this.#kept.some(({ images }) => images.some(
      ({ instance, frames }) => instance === place.instance && (!frames.length || frames.includes(place.frame)),
    ));
  }

  toggle(place) {
    if (!this.mayKeep) return this.open();
    const at = this.#marked.findIndex((one) => same(one, place));
    if (at >= 0) {
      this.#marked.splice(at, 1);
      say("No longer marked");
    } else {
      this.#marked.push(place);
      say("Marked as key image");
    }
    this.#show();
  }

  async #keep(form) {
    const button = form.querySelector("button.main");
    button.disabled = true;
    const sent = [...this.#marked];
    const images = sent.map(({ series, instance, frame, frames }) => (frames > 1 ? { series, instance, frame } : { series, instance }));
    const body = new URLSearchParams({ csrf: this.csrf, images: JSON.stringify(images), title: find("#title").value, note: find("#note").value });
    try {
      const kept = await ask(`/light/studies/${this.study}/keys`, { method: "POST", body });
      this.#kept.unshift(kept);
      this.#marked = this.#marked.filter((one) => !sent.includes(one));
      form.reset();
      close("keys");
      say("Kept with the study");
    } catch (trouble) {
      say(trouble.text || "It could not be kept. Try again.");
    } finally {
      button.disabled = false;
      this.#show();
    }
  }

  #show() {
    const count = this.#marked.length + this.#kept.reduce((sum, { images }) => sum + seen(images).length, 0);
    const marks = find("#marks");
    marks.hidden = count === 0;
    marks.querySelector("span").textContent = String(count);
    marks.setAttribute("aria-label", `Key images: ${count}`);
    marks.classList.toggle("unkept", this.#marked.length > 0);
    const form = find("#keep");
    if (form) {
      form.hidden = this.#marked.length === 0;
      find("#starred").textContent = `${this.#marked.length === 1 ? "1 image is" : `${this.#marked.length} images are`} marked, and not kept yet.`;
      form.querySelector(".stars").replaceChildren(...this.#marked.map((one) => this.#tile(one)));
    }
    find("#keys .kept").replaceChildren(...this.#kept.map((one) => this.#selection(one)));
    find("#keys .empty").hidden = count > 0;
    this.changed();
  }

  #selection({ title, note, who, at_us: at, images }) {
    const section = document.createElement("section");
    const head = document.createElement("h3");
    head.textContent = title;
    const about = document.createElement("p");
    about.className = "quiet small";
    const by = document.createElement("bdi");
    by.textContent = who;
    about.append(new Date(at / 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }), ...(who ? [" · ", by] : []));
    const list = document.createElement("ul");
    list.className = "stars";
    list.append(...seen(images).map((one) => this.#tile(one)));
    section.append(head, about);
    if (note) {
      const text = document.createElement("p");
      text.dir = "auto";
      text.textContent = note;
      section.append(text);
    }
    section.append(list);
    return section;
  }

  #tile({ series, instance, frame }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", "Show this key image");
    const image = document.createElement("img");
    image.src = `/dicom-web/studies/${this.study}/series/${series}/instances/${instance}/frames/${frame}/rendered?viewport=144,144&quality=60`;
    image.alt = "";
    image.width = image.height = 72;
    button.append(image);
    button.addEventListener("click", () => {
      close("keys");
      this.go(series, instance, frame);
    });
    item.append(button);
    return item;
  }
}

/// The frames of a selection, each for itself; where all of an instance are meant its first.
const seen = (images) => images.flatMap(({ series, instance, frames }) => (frames.length ? frames : [1]).map((frame) => ({ series, instance, frame })));

const same = (one, other) => one.instance === other.instance && one.frame === other.frame;
