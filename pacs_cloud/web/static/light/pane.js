// One place where images are seen: a canvas, what is written over it, and what it goes through.

import { PLAIN, applied, bar, fit, length, matrix, moved, scale, shape, sides, undone, zoomed } from "./view.js";

const SIDES = [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];
const SHARPEST_FIRST = ["native", ...[...SIDES].reverse(), 192, 128, "first"];
const SIDE_NAMES = { R: "right side", L: "left side", B: "both sides", U: "unpaired" };
const REST_MS = 140;
const BEHIND = 8;
const LATE_MS = 250;
const WINDOW_PX = 260; // a drag that doubles a window, or so

const named = (root, name) => root.querySelector(`[data-of="${name}"]`);

export class Pane {
  source = null;
  at = 0;
  window = null;
  view = PLAIN;
  isInverted = false;
  drawn = null;
  measure = null;
  #direction = 1;
  #isResting = true;
  #restTimer = 0;
  #lateTimer = 0;
  #isAsked = false;
  #isFailed = false;
  #came = "";
  #observer = new ResizeObserver(() => this.#resized());
  #box = { width: 1, height: 1 };

  constructor(root, pictures, { changed = () => {} } = {}) {
    Object.assign(this, { root, pictures, changed });
    this.canvas = root.querySelector("canvas");
    this.texts = Object.fromEntries(
      ["patient", "image", "window", "zoom", "top", "right", "bottom", "left", "bar", "trouble"].map((name) => [name, named(root, name)]),
    );
    this.#observer.observe(root);
    this.#resized();
  }

  /// Nobody sees it any more.
  close() {
    this.#observer.disconnect();
    clearTimeout(this.#restTimer);
    clearTimeout(this.#lateTimer);
    this.source = null;
    this.pictures.leave(this);
    this.root.remove();
  }

  get box() {
    return this.#box;
  }

  /// Go through `source` from `at` on; `first`: a picture of that, where there is one already.
  show(source, at = 0, first = null) {
    const isOther = this.source?.id !== source.id;
    this.source = source;
    this.at = Math.max(0, Math.min(at, source.count - 1));
    if (first) this.pictures.put(this.#key(this.at, source.window ?? null, "first"), first);
    if (isOther) {
      this.drawn = this.measure = null;
      this.#came = "";
      this.window = source.window ?? null;
      this.view = PLAIN;
    }
    this.#isResting = true;
    this.refresh();
  }

  go(at, { isMoving = true } = {}) {
    if (!this.source) return;
    const next = Math.max(0, Math.min(Math.round(at), this.source.count - 1));
    if (next === this.at) return;
    this.#direction = Math.sign(next - this.at);
    this.at = next;
    if (isMoving) this.#moving();
    this.refresh();
  }

  #moving() {
    this.#isResting = false;
    clearTimeout(this.#restTimer);
    this.#restTimer = setTimeout(() => {
      this.#isResting = true;
      this.refresh();
    }, REST_MS);
  }

  setWindow(window, { isMoving = false } = {}) {
    this.window = window;
    if (isMoving) this.#moving();
    this.refresh();
  }

  /// What it goes through was turned, and may be turned further.
  turned() {
    this.#moving();
    this.refresh();
  }

  /// A picture that was wanted has come, for what is turned too late perhaps.
  arrived(key) {
    this.#came = key;
    this.redraw();
  }

  /// Which image is seen: while pictures come it may be another than the one that is wanted.
  get seen() {
    return this.drawn?.source === this.source && this.drawn.bitmap ? this.drawn.at : this.at;
  }

  /// The window that is wanted: the one that was set, or the image's own; null: nobody knows.
  get wantedWindow() {
    return this.window ?? this.#ownWindow(this.at);
  }

  #ownWindow(at) {
    const [own] = this.source?.windows(at) ?? [];
    return own ? { center: own[0], width: own[1] } : null;
  }

  dragWindow(dx, dy) {
    const look = this.source?.look(this.at);
    if (!look || look.colour) return;
    const [low, high] = look.range ?? [0, 255];
    const { center, width } = this.wantedWindow ?? { center: (low + high) / 2, width: high - low };
    const step = Math.max(width, (high - low) / 200, 1) / WINDOW_PX;
    const exact = width > 20 ? Math.round : (value) => Math.round(value * 100) / 100;
    this.setWindow({ center: exact(center + dy * step), width: Math.max(1, exact(width + dx * step * 2)) }, { isMoving: true });
  }

  setView(view) {
    this.view = view;
    this.#moving();
    this.refresh();
  }

  pan(dx, dy) {
    if (this.source) this.setView(moved(this.view, this.source.look(this.at), this.#box, dx, dy));
  }

  zoom(by, x = this.#box.width / 2, y = this.#box.height / 2) {
    if (this.source) this.setView(zoomed(this.view, this.#box, by, x, y));
  }

  /// Fitted, or pixel by pixel about a point.
  toggleFit(x, y) {
    if (!this.source) return;
    const isFitted = Math.abs(this.view.zoom - 1) < 0.01;
    if (!isFitted) return this.setView({ ...this.view, zoom: 1, x: 0, y: 0 });
    const real = 1 / (fit(this.view, this.source.look(this.at), this.#box) * devicePixelRatio);
    const by = real > 1.15 || real < 0.85 ? real : 2;
    this.zoom(by, x, y);
  }

  reset() {
    this.view = PLAIN;
    this.window = this.source?.window ?? null;
    this.isInverted = false;
    this.measure = null;
    this.source?.reset?.();
    this.refresh();
  }

  /// From a point of the pane to one of the image.
  toImage(x, y) {
    return undone(matrix(this.view, this.source.look(this.at), this.#box), x, y);
  }

  refresh() {
    if (!this.source?.count) return;
    this.pictures.want(this, this.#wanted());
    this.redraw();
    this.changed(this);
  }

  redraw() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#draw();
    });
  }

  /// Whether the picture of an image is there.
  isThere(at) {
    return this.#best(at, this.window) !== null;
  }

  /// Whether it is there, or will not come.
  isSettled(at) {
    return this.isThere(at) || this.#failure(at) !== null;
  }

  trouble(trouble) {
    const box = this.texts.trouble;
    if (!trouble) {
      if (!box.hidden) box.hidden = true;
      return;
    }
    box.hidden = false;
    const until = trouble.expected ? new Date(trouble.expected) : null;
    const when = until && !Number.isNaN(+until) ? inWords(until) : "";
    const texts = {
      cold: ["On its way from the long-term store", `${when || "It was asked for just now."} This page goes on by itself.`],
      away: trouble.text ? ["Not at the moment", trouble.text] : ["No line to the archive", "Trying again…"],
      "signed out": ["Your session is over", "Sign in again to go on."],
      none: ["This cannot be shown", trouble.text],
    }[trouble.kind];
    const [title, text, link] = box.children;
    title.textContent = texts[0];
    text.textContent = texts[1];
    link.hidden = trouble.kind !== "signed out";
    if (!link.hidden) link.href = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
  }

  #resized() {
    const { clientWidth, clientHeight } = this.root;
    const ratio = Math.min(devicePixelRatio, 3);
    this.#box = { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) };
    this.canvas.width = Math.round(this.#box.width * ratio);
    this.canvas.height = Math.round(this.#box.height * ratio);
    if (this.source) this.refresh();
  }

  #key(at, window, side) {
    return `${this.source.key?.(at) ?? `${this.source.id}/${at}`}/${window ? `${window.center},${window.width}` : ""}/${side}`;
  }

  /// How large a picture is wanted at rest; null: pixel by pixel.
  #sharpSide() {
    const look = this.source.look(this.at);
    const { width, height } = shape(look);
    const needed = Math.max(width, height) * scale(this.view, look, this.#box) * Math.min(devicePixelRatio, 3);
    const most = this.pictures.line.step.sharp;
    const side = SIDES.find((one) => one >= needed) ?? SIDES.at(-1);
    const native = this.source.native(this.at);
    return native <= Math.min(side, most) ? null : Math.min(side, most);
  }

  #one(at, side, quality) {
    return {
      key: this.#key(at, this.window, side ?? "native"),
      url: this.source.url(at, { side, quality, window: this.window }),
      lasts: this.source.isTurned,
    };
  }

  /// What is to be fetched, the most urgent first.
  #wanted() {
    const { source, at } = this;
    const step = this.pictures.line.step;
    const side = source.native(at) <= step.small ? null : step.small;
    const small = (of) => this.#one(of, side, step.smallQuality);
    const list = [];
    const add = (one) => list.push(one);
    const has = this.#best(at, this.window) !== null;
    if (!has) add(small(at));
    if (this.#isResting) {
      const sharp = this.#sharpSide();
      add(this.#one(at, sharp, step.quality));
      const detail = this.#detail(sharp);
      if (detail) add(detail);
    }
    const ring = (to, count) => {
      for (let far = 1; far <= count; far += 1) {
        const next = at + far * to;
        if (next < 0 || next >= source.count) break;
        if (!this.isThere(next)) add(small(next));
      }
    };
    if (source.isTurned) return list;
    ring(this.#direction, step.ahead);
    ring(-this.#direction, this.#isResting ? Math.ceil(step.ahead / 2) : BEHIND);
    return list;
  }

  /// What is seen of an image that is larger than one picture of it may be.
  #detail(side) {
    const native = this.source.native(this.at);
    const most = this.pictures.line.step.sharp;
    const needed = native * scale(this.view, this.source.look(this.at), this.#box) * Math.min(devicePixelRatio, 3);
    if (side === null || needed <= most * 1.1 || !this.source.place) return null;
    const { width, height } = this.#box;
    const look = this.source.look(this.at);
    const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => this.toImage(x, y));
    const clamp = (value, limit) => Math.round(Math.min(limit, Math.max(0, value)));
    const left = clamp(Math.min(...corners.map(([x]) => x)), look.columns - 1);
    const top = clamp(Math.min(...corners.map(([, y]) => y)), look.rows - 1);
    const region = [left, top,
      Math.max(1, clamp(Math.max(...corners.map(([x]) => x)), look.columns) - left),
      Math.max(1, clamp(Math.max(...corners.map(([, y]) => y)), look.rows) - top)];
    const tile = SIDES.find((one) => one >= Math.max(width, height) * Math.min(devicePixelRatio, 3)) ?? 4096;
    const quality = this.pictures.line.step.quality;
    return {
      key: `${this.#key(this.at, this.window, "detail")}/${region}`,
      url: this.source.url(this.at, { side: tile, quality, window: this.window, region }),
      region,
    };
  }

  /// The sharpest picture that is there, null without any.
  #best(at, window) {
    for (const side of SHARPEST_FIRST) {
      const key = this.#key(at, window, side);
      if (this.pictures.has(key)) return key;
    }
    return null;
  }

  /// Why there is no picture of an image, null where it may still come.
  #failure(at) {
    for (const side of SHARPEST_FIRST) {
      const failure = this.pictures.failure(this.#key(at, this.window, side));
      if (failure) return failure;
    }
    return null;
  }

  /// The image nearest to where it goes that can be drawn: one that was outrun is better than none.
  #reachable() {
    const from = this.drawn?.source === this.source ? this.drawn.at : this.at;
    const to = Math.sign(this.at - from) || 1;
    for (let at = this.at; ; at -= to) {
      const key = this.#best(at, this.window);
      if (key) return [at, key];
      if (at === from) return [at, this.source.isTurned && this.pictures.has(this.#came) ? this.#came : null];
    }
  }

  #draw() {
    if (!this.source?.count) return;
    const [at, key] = this.#reachable();
    const failure = key && at === this.at ? null : this.#failure(this.at);
    if (failure || this.#isFailed) this.trouble(failure);
    this.#isFailed = failure !== null;
    if (failure) {
      this.drawn = { source: this.source, at: this.at, bitmap: null, key: "" };
    } else if (key) {
      this.drawn = { source: this.source, at, bitmap: this.pictures.get(key), key, window: this.window };
    } else if (this.drawn && this.drawn.bitmap) {
      // Of the same image in another window, or turned otherwise: soon there is the right one.
      this.drawn.bitmap = this.pictures.get(this.drawn.key);
    }
    this.#paint();
    this.#write();
    if (key) this.root.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: { at, key } }));
    clearTimeout(this.#lateTimer);
    if (!key || at !== this.at) {
      this.#lateTimer = setTimeout(() => this.root.classList.add("late"), LATE_MS);
    } else this.root.classList.remove("late");
  }

  #paint() {
    const context = this.canvas.getContext("2d", { alpha: false });
    const ratio = this.canvas.width / this.#box.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = "source-over";
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.drawn?.bitmap) return;
    const look = this.source.look(this.drawn.at);
    const placed = matrix(this.view, look, this.#box);
    context.setTransform(...placed.map((one) => one * ratio));
    context.imageSmoothingQuality = this.#isResting ? "high" : "low";
    context.drawImage(this.drawn.bitmap, 0, 0, look.columns, look.rows);
    const detail = this.drawn.at === this.at ? this.#detail(this.#sharpSide()) : null;
    const tile = detail && this.pictures.get(detail.key);
    if (tile) context.drawImage(tile, ...detail.region);
    if (this.isInverted) {
      context.globalCompositeOperation = "difference";
      context.fillStyle = "#fff";
      context.fillRect(0, 0, look.columns, look.rows);
    }
    this.#lines(context, placed, ratio, look);
  }

  #lines(context, placed, ratio, look) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalCompositeOperation = "source-over";
    const cross = this.source.cross?.(this.drawn.at);
    if (cross) {
      const [x, y] = applied(placed, ...cross);
      context.lineWidth = 1;
      context.strokeStyle = "rgb(108 184 255 / .7)";
      context.beginPath();
      for (const [from, to] of [[[0, y], [x - 14, y]], [[x + 14, y], [this.#box.width, y]], [[x, 0], [x, y - 14]], [[x, y + 14], [x, this.#box.height]]]) {
        context.moveTo(...from);
        context.lineTo(...to);
      }
      context.stroke();
    }
    const { measure } = this;
    if (!measure || measure.at !== this.drawn.at) return;
    const [from, to] = [applied(placed, ...measure.from), applied(placed, ...measure.to)];
    for (const [width, colour] of [[4, "#000"], [2, "#7fdca4"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      for (const [x, y] of [from, to]) {
        context.moveTo(x + 5, y);
        context.arc(x, y, 5, 0, 7);
      }
      context.stroke();
    }
    const text = length(look, measure.from, measure.to);
    context.font = "600 15px system-ui, sans-serif";
    const wide = context.measureText(text).width;
    const x = Math.min(Math.max(8, to[0] + 12), this.#box.width - wide - 12);
    const y = Math.min(Math.max(24, to[1] - 12), this.#box.height - 12);
    context.fillStyle = "rgb(0 0 0 / .7)";
    context.fillRect(x - 5, y - 17, wide + 10, 24);
    context.fillStyle = "#7fdca4";
    context.fillText(text, x, y);
  }

  #write() {
    const { texts, source } = this;
    const at = this.drawn?.at ?? this.at;
    const look = source.look(at);
    const set = (name, text) => {
      if (texts[name] && texts[name].textContent !== text) texts[name].textContent = text;
    };
    set("image", source.title?.(at) ?? `${at + 1} / ${source.count}`);
    // What is written is of what is seen, not of what was asked for.
    const window = (this.drawn?.bitmap ? this.drawn.window : this.window) ?? this.#ownWindow(at);
    const value = (one) => (Math.abs(one) >= 100 || Number.isInteger(one) ? Math.round(one) : one.toFixed(1));
    set("window", look.colour || !window ? "" : `W ${value(window.width)}  L ${value(window.center)}`);
    const zoom = scale(this.view, look, this.#box) * Math.min(devicePixelRatio, 3);
    set("zoom", `${this.view.zoom === 1 ? "Fit" : `${Math.round(zoom * 100)} %`}${this.isInverted ? " · inverted" : ""}${look.laterality ? ` · ${SIDE_NAMES[look.laterality] ?? look.laterality}` : ""}`);
    const letters = sides(this.view, look);
    for (const [side, text] of Object.entries(letters)) set(side, text);
    const found = bar(this.view, look, this.#box);
    texts.bar.hidden = !found;
    if (found) {
      texts.bar.style.width = `${found.px}px`;
      texts.bar.firstElementChild.textContent = found.text;
    }
  }
}

function inWords(until) {
  const minutes = Math.round((until - Date.now()) / 60000);
  const clock = until.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (minutes <= 1) return "Expected any moment.";
  if (minutes < 90) return `Expected in about ${minutes} minutes, at ${clock}.`;
  return `Expected in about ${Math.round(minutes / 60)} hours, at ${clock}.`;
}
