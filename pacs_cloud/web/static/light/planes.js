// Planes through a series, and its volume: rendered by the archive, one picture at a time.

import { say } from "./sheets.js";
import { ask } from "./sources.js";

const POLL_MS = 700;
const PLANES = { axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" };
// Which planes cut another one upright, and which level.
const CUTS = { axial: ["sagittal", "coronal"], coronal: ["sagittal", "axial"], sagittal: ["coronal", "axial"] };
const MODES = { mpr: "Plane", mip: "MIP", minip: "MinIP", average: "Average" };
const SLABS = [10, 20, 40];
const LOOKS = { bone: "Bone", "soft-tissue": "Soft tissue", vessels: "Vessels", lung: "Lung", mip: "MIP" };
const wide = matchMedia("(min-width: 60rem) and (min-height: 34rem)");

/// One direction through a volume; to a pane the same as a stack.
class Plane {
  constructor(planes, name, told) {
    Object.assign(this, { planes, plane: name, told, id: `${told.id}/${name}` });
    this.name = PLANES[name];
    this.count = told.planes[name].count;
    this.window = null;
  }

  get modality() {
    return this.planes.stack.modality;
  }

  look() {
    const { width, height, mm, labels } = this.told.planes[this.plane];
    // A plane's pixels are square once it is drawn: its size in mm says how long it is.
    const tall = mm[1] / mm[0];
    const { unit } = this.planes.stack.look(0);
    return { columns: width, rows: height, tall, spacing: [mm[1], mm[0]], labels, range: this.told.range, unit };
  }

  windows() {
    const { window } = this.told;
    // A MIP is shown by its brightest where nobody says otherwise.
    return window && this.planes.mode !== "mip" ? [[window.center, window.width, "Own"]] : [];
  }

  native() {
    const { columns, rows, tall } = this.look();
    return Math.max(columns, Math.round(rows * tall));
  }

  key(at) {
    const { mode, slab } = this.planes;
    return `${this.id}/${at}/${mode}/${slab}`;
  }

  /// Where the other two planes cut this one.
  cross() {
    const { now } = this.planes;
    if (!now) return null;
    const { width, height } = this.told.planes[this.plane];
    const part = (plane) => (now[plane] + 0.5) / this.told.planes[plane].count;
    const [across, down] = CUTS[this.plane];
    return [part(across) * width, part(down) * height];
  }

  url(at, { side, quality, window }) {
    const { mode, slab, url } = this.planes;
    const query = new URLSearchParams({ id: this.told.id, plane: this.plane, at, mode, quality });
    if (mode !== "mpr") query.set("slab", slab);
    if (window) query.set("window", `${window.center},${window.width}`);
    query.set("size", Math.min(side ?? this.native(), 2048));
    return `${url}/plane?${query}`;
  }
}

/// A volume seen from outside.
class Turning {
  isTurned = true;
  count = 1;
  name = "3D";

  constructor(planes, told) {
    Object.assign(this, { planes, told, id: `${told.id}/view` });
    this.reset();
  }

  reset() {
    Object.assign(this, { yaw: 0, pitch: 0, near: 1 });
  }

  turn(dx, dy, box) {
    const degrees = 240 / Math.max(200, Math.min(box.width, box.height));
    this.yaw = (((this.yaw + dx * degrees) % 360) + 360) % 360;
    this.pitch = Math.max(-90, Math.min(90, this.pitch + dy * degrees));
  }

  zoom(by) {
    this.near = Math.max(0.5, Math.min(8, this.near * by));
  }

  look() {
    return { columns: 1024, rows: 1024, tall: 1, colour: true };
  }

  windows() {
    return [];
  }

  native() {
    return 1024;
  }

  title() {
    return `${Math.round(this.yaw)}° · ${Math.round(this.pitch)}°`;
  }

  #how() {
    return { yaw: this.yaw.toFixed(1), pitch: this.pitch.toFixed(1), zoom: this.near.toFixed(2), preset: this.planes.look };
  }

  key() {
    return `${this.id}/${Object.values(this.#how())}`;
  }

  url(at, { side, quality }) {
    const query = new URLSearchParams({ id: this.told.id, ...this.#how(), size: Math.min(side ?? 1024, 1024), quality });
    return `${this.planes.url}/view?${query}`;
  }
}

export class Planes {
  mode = "mpr";
  slab = 20;
  look = "bone";
  /// Which plane of each is looked at, once somebody has touched a point, or sees all three.
  now = null;
  before = 0;
  #told = null;
  #sources = null;
  #visit = 0;
  #touched = 0;

  constructor(viewer) {
    this.viewer = viewer;
  }

  /// Whether a volume is asked for that is not there yet.
  get isWaiting() {
    return this.viewer.view !== "stack" && !this.#told;
  }

  async enter(view) {
    const visit = ++this.#visit;
    const { viewer } = this;
    if (viewer.active.source?.uid) {
      this.stack = viewer.active.source;
      this.before = viewer.active.at;
    }
    const url = `/light/studies/${this.stack.study}/series/${this.stack.uid}/volume`;
    if (this.url !== url) Object.assign(this, { url, now: null });
    this.#told = null;
    viewer.layout(1);
    const { active } = viewer;
    active.root.dataset.series = this.stack.uid;
    // Not the series that stood beside it.
    if (active.source?.uid && active.source !== this.stack) active.show(this.stack, this.before);
    let told;
    try {
      told = await this.#ready(visit);
    } catch (trouble) {
      if (visit !== this.#visit) return;
      say(trouble.text || "The volume cannot be had at the moment.");
      viewer.setView("stack");
      return;
    }
    if (visit !== this.#visit) return;
    this.#told = told;
    if (view === "turn") this.#turn();
    else this.#through();
    if (this.notes) say(this.notes);
    viewer.shown();
  }

  leave() {
    this.#visit += 1;
    this.#told = null;
    this.viewer.active.trouble(null);
  }

  async #ready(visit) {
    const box = this.viewer.active.texts.trouble;
    while (visit === this.#visit) {
      const told = await ask(this.url);
      if (visit !== this.#visit) break;
      if (told.state === "impossible") throw { text: told.reason || "This series makes no volume." };
      if (told.state === "ready") {
        this.viewer.active.trouble(null);
        return told;
      }
      const share = Math.round(100 * (told.progress ?? 0));
      box.hidden = false;
      const [title, text, link] = box.children;
      title.textContent = "The volume is being put together";
      text.textContent = share ? `${share} %` : "";
      link.hidden = true;
      await new Promise((go) => { setTimeout(go, POLL_MS); });
    }
    return null;
  }

  #turn() {
    if (!this.#told.views.includes(this.look)) [this.look] = this.#told.views;
    this.viewer.active.show(new Turning(this, this.#told));
  }

  #through() {
    const names = Object.keys(PLANES).filter((name) => this.#told.planes[name]);
    this.#sources = Object.fromEntries(names.map((name) => [name, new Plane(this, name, this.#told)]));
    const count = wide.matches ? names.length : 1;
    if (count > 1) this.now = Object.fromEntries(names.map((name) => [name, this.#at(this.#sources[name])]));
    this.viewer.layout(count);
    this.viewer.panes.forEach((pane, at) => {
      const source = this.#sources[names[at]];
      pane.root.dataset.series = this.stack.uid;
      pane.show(source, this.#at(source));
      pane.root.querySelector("[data-of=series] bdi").textContent = source.name;
    });
  }

  /// What of the series is not in the volume, or otherwise than it was.
  get notes() {
    return this.#told?.notes?.join(" ") ?? "";
  }

  /// What can be chosen, as `tools.fill` takes it.
  choices() {
    const { viewer } = this;
    if (!this.#told || viewer.view === "stack") return [];
    if (viewer.view === "turn") {
      return [{
        label: "Look",
        choices: Object.entries(LOOKS).filter(([look]) => this.#told.views.includes(look)).map(([look, name]) => ({
          name,
          isOn: look === this.look,
          choose: () => this.#set({ look }),
        })),
      }];
    }
    const groups = [];
    if (viewer.panes.length === 1) {
      groups.push({
        label: "Plane",
        choices: Object.values(this.#sources).map((source) => ({
          name: source.name,
          isOn: source === viewer.active.source,
          choose: () => viewer.active.show(source, this.#at(source)),
        })),
      });
    }
    groups.push({
      label: "Way",
      choices: Object.entries(MODES).map(([mode, name]) => ({ name, isOn: mode === this.mode, choose: () => this.#set({ mode }) })),
    });
    if (this.mode !== "mpr") {
      groups.push({
        label: "Thickness",
        choices: SLABS.map((slab) => ({ name: `${slab} mm`, isOn: slab === this.slab, choose: () => this.#set({ slab }) })),
      });
    }
    return groups;
  }

  #set(what) {
    Object.assign(this, what);
    for (const pane of this.viewer.panes) pane.refresh();
    this.viewer.shown();
  }

  #at(source) {
    return this.now?.[source.plane] ?? Math.floor(source.count / 2);
  }

  /// A pane shows another plane: the lines in the others go along.
  moved(pane) {
    if (!this.now || !(pane.source instanceof Plane)) return;
    this.now[pane.source.plane] = pane.at;
    for (const other of this.viewer.panes) if (other !== pane) other.redraw();
  }

  /// A point was touched: the other planes go through it.
  async point(pane, x, y) {
    const { source, at } = pane;
    if (!(source instanceof Plane)) return;
    const [px, py] = pane.toImage(x, y);
    const look = source.look();
    if (px < 0 || py < 0 || px >= look.columns || py >= look.rows) return;
    const query = new URLSearchParams({ id: source.told.id, plane: source.plane, at, x: px.toFixed(2), y: py.toFixed(2) });
    const touched = ++this.#touched;
    let found;
    try {
      found = await ask(`${this.url}/point?${query}`);
    } catch {
      return;
    }
    if (touched !== this.#touched || pane.source !== source) return;
    this.now = { ...found.at, [source.plane]: at };
    // What several planes make together is measured in none of them.
    if (this.mode === "mpr" && typeof found.value === "number") say(`${Math.round(found.value)} ${look.unit ?? ""}`.trim());
    for (const other of this.viewer.panes) {
      if (other !== pane && other.source instanceof Plane) other.go(found.at[other.source.plane], { isMoving: false });
      other.redraw();
    }
  }
}
