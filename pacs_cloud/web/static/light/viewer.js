// The viewer: panes, tools, keys and the strip of series, put together.

import { Cine, rateOf } from "./cine.js";
import { install } from "./install.js";
import { KeyImages } from "./keyimages.js";
import { Line } from "./line.js";
import { Pane } from "./pane.js";
import { Pictures } from "./pictures.js";
import { Planes } from "./planes.js";
import { close, open, say } from "./sheets.js";
import { series as seriesOf } from "./sources.js";
import { fill, isSame, keyboard, presets } from "./tools.js";
import { touch } from "./touch.js";
import { flipped, flippedDown, turned } from "./view.js";

const FRICTION_MS = 325;
const SLOWEST = 0.004; // images a ms at which a fling ends
const WHEEL_PX = 60;
const SOON_MS = 120; // tools need not keep step with a film
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

const find = (selector) => document.querySelector(selector);
const findAll = (selector) => [...document.querySelectorAll(selector)];

class Viewer {
  mode = "scroll";
  view = "stack";
  panes = [];
  stacks = new Map();
  isLinked = true;
  /// What was chosen for a pane last: what comes later is of no use there.
  #chosen = new WeakMap();
  #rest = 0;
  #soon = 0;
  #fling = 0;
  #wheel = 0;
  #pulled = 0;

  constructor({ study, series, image, csrf }) {
    Object.assign(this, { study, first: Number(image) - 1 });
    this.line = new Line();
    this.pictures = new Pictures(this.line, {
      arrived: (pane, key) => pane.arrived(key),
      troubled: (pane, trouble) => this.planes.isWaiting || pane.trouble(trouble),
    });
    this.cine = new Cine(() => this.#shown());
    this.planes = new Planes(this);
    this.keys = new KeyImages(study, csrf, {
      go: (uid, instance, frame) => this.#goTo(uid, instance, frame),
      changed: () => this.#shown(),
    });
    this.#equip(find(".pane"));
    this.active = this.panes[0];
    this.#tools();
    this.#keys();
    void this.#begin(series);
  }

  get stack() {
    return this.stacks.get(this.active.root.dataset.series) ?? null;
  }

  async #begin(uid) {
    const image = find("#first");
    const picture = image.decode().then(() => createImageBitmap(image)).catch(() => {
      image.remove(); // what is asked for next says why
      return null;
    });
    const { active } = this;
    const stack = await this.#stack(uid, active);
    if (!stack) return;
    // What the page itself has shown is not fetched again.
    const first = image.complete ? await picture : null;
    if (find("main.alive")) return; // another series was chosen
    active.root.dataset.series = uid;
    active.show(stack, this.first, first);
    this.#live();
  }

  /// From the first series on that is there.
  #live() {
    if (find("main.alive")) return;
    find(".tools").hidden = false;
    find("#slider").hidden = false;
    find("main").classList.add("alive");
    this.#offered();
    void this.keys.read();
    install();
  }

  /// A series for a pane; null where there is none, or where another was chosen for it meanwhile.
  async #stack(uid, pane, study = this.study) {
    const chosen = {};
    this.#chosen.set(pane, chosen);
    const tell = (trouble) => {
      const isChosen = this.#chosen.get(pane) === chosen;
      if (isChosen) pane.trouble(trouble);
      return isChosen;
    };
    if (!this.stacks.has(uid)) {
      try {
        this.stacks.set(uid, await seriesOf(study, uid, tell));
      } catch (trouble) {
        tell(trouble.kind ? trouble : { kind: "none", text: "It cannot be read." });
        return null;
      }
    }
    return tell(null) ? this.stacks.get(uid) : null;
  }

  /// Show a series in the active pane; one of another study only beside one of this.
  async choose(uid, at = 0, study = this.study) {
    this.#stop();
    if (this.view !== "stack") this.setView("stack");
    if (study !== this.study) {
      if (this.panes.length < 2) {
        location.assign(`/light/studies/${study}`);
        return;
      }
      this.activate(this.panes[1]); // the first one is of the study that the page is of
    }
    const { active } = this;
    const stack = await this.#stack(uid, active, study);
    if (!stack) return;
    if (!stack.count) {
      location.assign(`/light/studies/${study}?series=${uid}`);
      return;
    }
    find("#first")?.remove(); // of another series
    active.root.dataset.series = uid;
    active.show(stack, at);
    this.#live();
    this.#offered();
    this.#shown();
  }

  async #goTo(uid, instance, frame) {
    const stack = await this.#stack(uid, this.active);
    if (!stack) return;
    const at = stack.find(instance, frame);
    if (at < 0) return say("This image is no longer here.");
    await this.choose(uid, at);
  }

  /// One more or one less place for images.
  layout(count) {
    const stage = find("#stage");
    this.#stop();
    while (this.panes.length > count) {
      const pane = this.panes.pop();
      this.#chosen.delete(pane);
      pane.close();
    }
    while (this.panes.length < count) {
      stage.append(find("#pane").content.cloneNode(true));
      this.#equip(stage.querySelector(".pane:last-of-type"));
    }
    stage.dataset.panes = String(count);
    if (!this.panes.includes(this.active)) this.activate(this.panes[0]);
    this.#marked();
  }

  activate(pane) {
    if (this.active === pane) return;
    this.#stop();
    this.active = pane;
    this.#marked();
    this.#offered();
    this.#shown();
  }

  #marked() {
    for (const one of this.panes) one.root.classList.toggle("active", this.panes.length > 1 && one === this.active);
  }

  #equip(root) {
    const pane = new Pane(root, this.pictures, { changed: (one) => this.#changed(one) });
    this.panes.push(pane);
    root.addEventListener("focus", () => this.activate(pane));
    root.addEventListener("drawn", () => {
      find("#first")?.remove();
      if (pane !== this.active) return;
      this.#numbered();
      this.#later();
    });
    touch(root, {
      start: () => {
        this.activate(pane);
        this.#stop();
        this.#pulled = 0;
      },
      drag: (dx, dy, how) => this.#drag(pane, dx, dy, how),
      pinch: (by, x, y, dx, dy) => {
        if (this.#nearer(pane, by)) return;
        pane.pan(dx, dy);
        pane.zoom(by, x, y);
      },
      hold: () => {
        navigator.vibrate?.(12);
        say("Drag for width and level");
      },
      twice: (x, y) => pane.toggleFit(x, y),
      tap: (x, y) => this.planes.point(pane, x, y),
      fling: (vx, vy) => {
        if (this.mode === "scroll" && !pane.source?.isTurned) this.#throw(pane, -vy / this.#px(pane));
      },
      wheel: (px, { isZoom, x, y }) => {
        this.activate(pane);
        if (this.#nearer(pane, Math.exp(-px / 400))) return;
        if (isZoom) return pane.zoom(Math.exp(-px / 300), x, y);
        this.#wheel += px / WHEEL_PX;
        const images = Math.trunc(this.#wheel);
        this.#wheel -= images;
        if (images) pane.go(pane.at + images);
      },
    });
    return pane;
  }

  /// Go nearer to a volume that is seen from outside; false where a pane shows none.
  #nearer(pane, by) {
    if (!pane.source?.isTurned) return false;
    pane.source.zoom(by);
    pane.turned();
    return true;
  }

  /// How far a finger moves for one image: the whole of a short stack in one swipe.
  #px(pane) {
    return Math.max(3, Math.min(18, (pane.box.height * 0.75) / Math.max(1, pane.source?.count ?? 1)));
  }

  #drag(pane, dx, dy, { button, isHeld, x, y, from }) {
    const { source } = pane;
    if (!source) return;
    if (source.isTurned && button === 0 && !isHeld) {
      source.turn(dx, dy, pane.box);
      pane.turned();
    } else if (button === 2 || isHeld || (button === 0 && this.mode === "window")) pane.dragWindow(dx, dy);
    else if (button === 1 || this.mode === "move") pane.pan(dx, dy);
    else if (this.mode === "measure") {
      pane.measure = { at: pane.seen, from: pane.toImage(from.x, from.y), to: pane.toImage(x, y) };
      pane.redraw();
    } else {
      this.#pulled -= dy / this.#px(pane);
      const images = Math.trunc(this.#pulled);
      this.#pulled -= images;
      if (images) pane.go(pane.at + images);
    }
  }

  #throw(pane, speed) {
    if (isCalm.matches) return;
    let last = performance.now(), far = pane.at, v = speed;
    const step = (now) => {
      const ms = Math.min(64, now - last);
      last = now;
      far += v * ms;
      v *= Math.exp(-ms / FRICTION_MS);
      pane.go(far);
      if (Math.abs(v) > SLOWEST && far > 0 && far < pane.source.count - 1) this.#fling = requestAnimationFrame(step);
    };
    this.#fling = requestAnimationFrame(step);
  }

  #stop() {
    cancelAnimationFrame(this.#fling);
    this.cine.stop();
  }

  /// Something about a pane is other than before.
  #changed(pane) {
    if (this.isLinked && this.view === "stack" && this.panes.length > 1 && pane === this.active) this.#follow(pane);
    this.planes.moved(pane);
    if (pane === this.active) {
      this.#numbered();
      this.#later();
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => this.#rested(), 400);
    }
  }

  #later() {
    this.#soon ||= setTimeout(() => {
      this.#soon = 0;
      this.#shown();
    }, SOON_MS);
  }

  /// The other panes show what lies nearest.
  #follow(pane) {
    for (const other of this.panes) {
      if (other === pane || !other.source?.nearest || !pane.source?.place) continue;
      const depth = pane.source.place(pane.at).depth;
      const [one, two] = [pane.source.look(pane.at), other.source.look(other.at)];
      // What lies where is the same within one study and its coordinates only: patients lie
      // otherwise each time.
      const isOne = pane.source.study === other.source.study && one.space === two.space;
      const isAlong = isOne && depth !== null && one.directions && two.directions
        && one.directions.every((value, at) => Math.abs(value - two.directions[at]) < 0.1);
      const share = pane.at / Math.max(1, pane.source.count - 1);
      other.go(isAlong ? other.source.nearest(depth) : share * (other.source.count - 1));
    }
  }

  #rested() {
    const { source, at } = this.active;
    if (this.view === "stack" && source?.study === this.study) {
      history.replaceState(null, "", `?series=${source.uid}&image=${at + 1}`);
    }
    find("#line").textContent = this.line.words;
    const words = this.line.step.ahead < 20 ? this.line.words : "";
    this.active.root.querySelector("[data-of=line]").textContent = this.planes.notes || words;
  }

  #numbered() {
    const { source, at } = this.active;
    const slider = find("#slider");
    if (document.activeElement !== slider || Number(slider.value) !== at + 1) slider.value = at + 1;
  }

  /// Where the arrows beside the slider lead.
  #arrows() {
    const { source, at } = this.active;
    find(".place").textContent = `${at + 1} / ${source.count}`;
    for (const [rel, next] of [["prev", at - 1], ["next", at + 1]]) {
      const link = find(`.rail [rel=${rel}]`);
      if (next < 0 || next >= source.count) link.setAttribute("aria-disabled", "true");
      else link.removeAttribute("aria-disabled");
      link.href = `?series=${this.active.root.dataset.series}&image=${Math.max(0, next) + 1}`;
    }
  }

  /// What tools and strip say of the active pane.
  #shown() {
    const { active } = this;
    if (!active?.source) return;
    const { source, at } = active;
    const slider = find("#slider");
    slider.max = source.count;
    this.#numbered();
    this.#arrows();
    find(".rail").hidden = source.count < 2;
    const rate = find("#rate");
    rate.value = rateOf(source);
    rate.nextElementSibling.textContent = String(Math.round(rateOf(source) * 10) / 10);
    const press = (name, isOn) => {
      for (const button of findAll(`[data-do="${name}"]`)) button.setAttribute("aria-pressed", String(isOn));
    };
    press("play", this.cine.isPlaying);
    press("invert", active.isInverted);
    press("pair", this.view === "stack" && this.panes.length > 1);
    press("texts", !find("#stage").classList.contains("bare"));
    press("full", document.fullscreenElement !== null);
    const place = this.view === "stack" && source.study === this.study ? source.place(active.seen) : null;
    press("star", place !== null && (this.keys.isMarked(place) || this.keys.isKept(place)));
    for (const button of findAll('[data-do="pair"], [data-mode="measure"]')) {
      button.disabled = this.view !== "stack";
    }
    for (const button of findAll('[data-do="star"]')) button.disabled = place === null;
    find('[data-mode="window"]').disabled = Boolean(source.isTurned || source.look(at).colour);
    find('[data-do="play"]').disabled = source.count < 2;
    find('[data-mode="scroll"] span').textContent = source.isTurned ? "Turn" : "Scroll";
    for (const button of findAll("[data-mode]")) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    }
    for (const button of findAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === this.view));
    }
    let name = source.name ?? "";
    for (const link of findAll("[data-series]:is(a)")) {
      if (link.dataset.series === active.root.dataset.series) {
        link.setAttribute("aria-current", "true");
        name ||= link.querySelector(".name").textContent;
      } else link.removeAttribute("aria-current");
    }
    active.root.querySelector("[data-of=series] bdi").textContent = name;
    this.#choices();
  }

  #choices() {
    const { active } = this;
    const groups = this.planes.choices();
    if (this.mode === "window" && !active.source.isTurned) {
      groups.push({
        label: "Windows",
        choices: presets(active.source, active.at).map(({ name, window }) => ({
          name,
          window, // images and places are told apart by it
          isOn: isSame(window, active.window),
          choose: () => this.active.setWindow(window),
        })),
      });
    }
    const told = JSON.stringify(groups);
    if (told === this.told) return;
    this.told = told;
    fill(find(".context"), groups);
  }

  /// Whether a series can be seen in planes, too; one of another study on its own page only.
  #offered() {
    const { stack } = this;
    find(".views").hidden = !(stack?.isDeep && stack.study === this.study);
  }

  setMode(mode) {
    this.mode = mode;
    this.#shown();
  }

  setView(view) {
    if (view === this.view) return;
    this.#stop();
    this.view = view;
    if (view === "stack") {
      this.planes.leave();
      this.layout(1);
      const stack = this.stack;
      if (stack) this.active.show(stack, this.planes.before);
    } else void this.planes.enter(view);
    this.#offered();
    if (this.mode === "measure") this.mode = "scroll";
    this.#shown();
  }

  /// For what changes of itself: a volume that has come.
  shown() {
    this.#shown();
  }

  #tools() {
    const slider = find("#slider");
    slider.addEventListener("input", () => {
      this.#stop();
      this.active.go(Number(slider.value) - 1);
    });
    for (const [rel, by] of [["prev", -1], ["next", 1]]) {
      find(`.rail [rel=${rel}]`).addEventListener("click", (event) => {
        event.preventDefault();
        this.#stop();
        this.active.go(this.active.at + by, { isMoving: false });
      });
    }
    find("#rate").addEventListener("input", (event) => {
      this.active.source.rate = Number(event.target.value);
      this.#shown();
    });
    find("#swing").addEventListener("change", (event) => {
      this.cine.isSwinging = event.target.checked;
    });
    for (const link of findAll(".strip a")) {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        void this.choose(link.dataset.series, 0, link.dataset.study);
      });
    }
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-mode], [data-do], [data-view]");
      if (!button || button.disabled) return;
      if (button.dataset.mode) this.setMode(button.dataset.mode === this.mode ? "scroll" : button.dataset.mode);
      else if (button.dataset.view) this.setView(button.dataset.view);
      else this.#do(button.dataset.do);
    });
    document.addEventListener("fullscreenchange", () => this.#shown());
    const send = find('[data-do="send"]');
    if (send) send.hidden = !navigator.share;
    if (!document.fullscreenEnabled) for (const button of findAll('[data-do="full"]')) button.hidden = true;
  }

  #do(name) {
    const { active } = this;
    if (!active.source) return; // nothing has come yet
    const deeds = {
      play: () => this.cine.toggle(active),
      star: () => this.keys.toggle(active.source.place(active.seen)),
      keys: () => {
        close("more");
        this.keys.open();
      },
      invert: () => {
        active.isInverted = !active.isInverted;
        active.refresh();
      },
      turn: () => active.setView(turned(active.view)),
      across: () => active.setView(flipped(active.view)),
      down: () => active.setView(flippedDown(active.view)),
      reset: () => active.reset(),
      texts: () => {
        find("#stage").classList.toggle("bare");
        this.#shown();
      },
      pair: () => {
        close("more");
        void this.#pair();
      },
      full: () => {
        close("more");
        if (document.fullscreenElement) void document.exitFullscreen();
        else document.documentElement.requestFullscreen().catch(() => say("This browser has no full screen."));
      },
      send: () => {
        navigator.share({ title: document.title, url: location.href }).catch(() => {});
      },
      more: () => {
        find("#line").textContent = this.line.words;
        open("more");
      },
      help: () => {
        close("more");
        open("help");
      },
    };
    deeds[name]?.();
  }

  /// Two places side by side: the second shows a prior, else the series that comes next.
  async #pair() {
    if (this.panes.length > 1) {
      this.activate(this.panes[0]);
      return this.layout(1);
    }
    const { active } = this;
    const own = findAll(".strip li:not(.prior) a:has(img)");
    const here = own.findIndex((link) => link.dataset.series === active.root.dataset.series);
    const prior = find(".prior:not(.not-before) a");
    const beside = prior ?? own[here + 1] ?? own[here - 1] ?? find(".prior a") ?? own[here];
    const uid = beside?.dataset.series ?? active.root.dataset.series;
    this.layout(2);
    const [, second] = this.panes;
    const stack = await this.#stack(uid, second, beside?.dataset.study);
    if (stack?.count) {
      second.root.dataset.series = uid;
      second.show(stack, 0);
      second.root.querySelector("[data-of=series] bdi").textContent = beside?.querySelector(".name").textContent ?? "";
      this.#follow(active);
      say("Two series, linked by position. Touch one to change it.");
    }
    this.#shown();
  }

  #keys() {
    const go = (by) => () => {
      this.#stop();
      const { active } = this;
      active.go(active.at + by);
    };
    const tile = (by) => () => {
      const links = findAll(".strip a");
      const at = links.findIndex((link) => link.hasAttribute("aria-current"));
      links[at + by]?.click();
    };
    const keys = {
      ArrowUp: go(-1), ArrowLeft: go(-1), ArrowDown: go(1), ArrowRight: go(1),
      PageUp: go(-10), PageDown: go(10), Home: go(-Infinity), End: go(Infinity),
      "[": tile(-1), "]": tile(1),
      " ": () => this.#do("play"),
      "+": () => this.active.zoom(1.25), "=": () => this.active.zoom(1.25),
      "-": () => this.active.zoom(0.8), 0: () => this.active.setView({ ...this.active.view, zoom: 1, x: 0, y: 0 }),
      w: () => this.setMode(this.mode === "window" ? "scroll" : "window"),
      s: () => this.setMode("scroll"), m: () => this.setMode("move"),
      i: () => this.#do("invert"), t: () => this.#do("turn"), f: () => this.#do("across"),
      r: () => this.#do("reset"), o: () => this.#do("texts"), h: () => this.#do("help"), "?": () => this.#do("help"),
      k: () => !find('[data-do="star"]').disabled && this.#do("star"),
      Escape: () => this.#stop(),
    };
    for (let at = 0; at < 9; at += 1) {
      keys[at + 1] = () => {
        const { active } = this;
        const found = active.source && presets(active.source, active.at)[at];
        if (!found) return;
        active.setWindow(found.window);
        say(found.name);
      };
    }
    keyboard(keys);
  }
}

if (find(".pane")) new Viewer(document.body.dataset);
