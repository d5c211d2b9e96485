// What a pane goes through: the images of a series. Others that go through something else
// (`planes.js`) have the same properties.

import { Trouble, troubleOf } from "./pictures.js";

const REST_MS = 3000;

/// Fetch JSON of this archive; raises a Trouble.
export async function ask(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, { headers: { accept: "application/json" }, ...options });
  } catch {
    throw new Trouble("away", "", { seconds: 3 });
  }
  if (!answer.ok) throw await troubleOf(answer);
  return answer.json();
}

/// The list of a series; asked for again as long as the archive is away, and `told`, which hears
/// of that, says that it is still wanted.
export async function series(study, uid, told) {
  for (;;) {
    try {
      const list = await ask(`/light/studies/${study}/series/${uid}/frames`);
      return new Stack(study, uid, list);
    } catch (trouble) {
      if (trouble.kind !== "away" || !told(trouble)) throw trouble;
      await new Promise((go) => { setTimeout(go, REST_MS); });
    }
  }
}

/// What the list says of a frame: of each one, or of all that an image has.
const of = (said, frame) => (Array.isArray(said) ? said[Math.min(frame, said.length) - 1] : said);

export class Stack {
  #starts = [];

  constructor(study, uid, list) {
    Object.assign(this, { study, uid, list, id: uid, count: list.count, rate: list.rate });
    let next = 0;
    for (const [, frames] of list.images) {
      this.#starts.push(next);
      next += frames;
    }
  }

  get modality() {
    return this.list.modality;
  }

  /// Whether it may be a volume: slices of one direction, at enough places.
  get isDeep() {
    const { images, looks } = this.list;
    const places = new Set(images.flatMap(([, , , , , depths]) => depths));
    places.delete(null);
    return places.size >= 8 && looks.some((one) => one.directions);
  }

  #row(at) {
    let low = 0, high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /// Which instance and frame an image is, and what is said of it.
  place(at) {
    const row = this.#row(at);
    const frame = at - this.#starts[row] + 1;
    const [instance, frames, look, windows, number, depths] = this.list.images[row];
    return { series: this.uid, instance, frame, frames, number, depth: of(depths, frame), look: of(look, frame), windows: of(windows, frame) };
  }

  /// Where an instance's frame is, -1 where it is not among them.
  find(instance, frame = 1) {
    const row = this.list.images.findIndex(([uid]) => uid === instance);
    return row < 0 ? -1 : this.#starts[row] + Math.min(frame, this.list.images[row][1]) - 1;
  }

  /// The image that lies nearest to a depth in mm.
  nearest(depth) {
    let best = 0, least = Infinity;
    this.list.images.forEach(([, , , , , depths], row) => {
      [depths].flat().forEach((own, frame) => {
        const off = own === null ? Infinity : Math.abs(own - depth);
        if (off < least) [best, least] = [this.#starts[row] + frame, off];
      });
    });
    return best;
  }

  look(at) {
    return this.list.looks[this.place(at).look];
  }

  windows(at) {
    return this.list.windows[this.place(at).windows];
  }

  /// Pixels of its longer side.
  native(at) {
    const look = this.look(at);
    return Math.max(look.columns, Math.round(look.rows * (look.tall ?? 1)));
  }

  /// `side`: of the square that the picture is fitted into; null: pixel by pixel.
  url(at, { side, quality, window, region }) {
    const { instance, frame } = this.place(at);
    const query = [`quality=${quality}`];
    if (region) query.push(`viewport=${side},${side},${region.join(",")}`);
    else if (side) query.push(`viewport=${side},${side}`);
    if (window) query.push(`window=${window.center},${window.width},linear`);
    return `/dicom-web/studies/${this.study}/series/${this.uid}/instances/${instance}/frames/${frame}/rendered?${query.join("&")}`;
  }
}
