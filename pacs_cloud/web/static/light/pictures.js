// Fetches pictures in the order in which they are wanted, gives up what was outrun, and keeps
// what has come: bitmaps up to so many bytes, and their files, which are ten times as small.

const MOST_BITMAPS = (navigator.deviceMemory ?? 4) >= 4 ? 128 << 20 : 64 << 20;
const MOST_FILES = 48 << 20;
const GIVEN_UP = new Set([400, 403, 404, 406, 410]);

class Kept {
  #items = new Map();
  #bytes = 0;

  constructor(most, drop = () => {}) {
    this.most = most;
    this.drop = drop;
  }

  has(key) {
    return this.#items.has(key);
  }

  get(key) {
    const found = this.#items.get(key);
    if (!found) return null;
    this.#items.delete(key);
    this.#items.set(key, found);
    return found.item;
  }

  put(key, item, bytes) {
    if (this.#items.has(key)) return;
    this.#items.set(key, { item, bytes });
    this.#bytes += bytes;
    for (const [oldest, { item: old, bytes: less }] of this.#items) {
      if (this.#bytes <= this.most || oldest === key) break;
      this.#items.delete(oldest);
      this.#bytes -= less;
      this.drop(old);
    }
  }
}

/// Why there is no picture.
export class Trouble {
  /// `kind`: "cold", "signed out", "away", "none".
  constructor(kind, text = "", { seconds = 0, expected = "" } = {}) {
    Object.assign(this, { kind, text, seconds, expected });
  }
}

export class Pictures {
  #bitmaps = new Kept(MOST_BITMAPS, (bitmap) => bitmap.close());
  #files = new Kept(MOST_FILES);
  #wanted = new Map();
  #underWay = new Map();
  #failed = new Map();
  #pausedUntil = 0;
  #timer = 0;

  /// `arrived(owner, key)` is called when something that an owner wants has come; `troubled(owner,
  /// trouble)` when it does not, and with null when it does again.
  constructor(line, { arrived, troubled }) {
    this.line = line;
    this.arrived = arrived;
    this.troubled = troubled;
  }

  /// A picture that is there, or null.
  get(key) {
    return this.#bitmaps.get(key);
  }

  has(key) {
    return this.#bitmaps.has(key);
  }

  failure(key) {
    return this.#failed.get(key) ?? null;
  }

  /// Take a picture that came another way.
  put(key, bitmap) {
    this.#bitmaps.put(key, bitmap, bitmap.width * bitmap.height * 4);
  }

  /// From now on an owner wants these, the most urgent first: [{ key, url, lasts }]. What is under
  /// way is given up when nobody wants it any more, but for what `lasts` where what is wanted instead
  /// would take the archive as long. There is one such at a time, and it comes late as it is.
  want(owner, list) {
    this.#wanted.set(owner, list);
    this.#giveUp();
    this.#go();
  }

  /// An owner wants nothing any more, for ever.
  leave(owner) {
    this.#wanted.delete(owner);
    this.#giveUp();
    this.#go();
  }

  #giveUp() {
    const all = new Set([...this.#wanted.values()].flat().map(({ key }) => key));
    for (const [key, { one, owner, abort }] of this.#underWay) {
      if (!all.has(key) && !this.#outlasts(one, owner)) abort.abort();
    }
  }

  /// Whether what an owner has wanted shall come to it, late as it is.
  #outlasts(one, owner) {
    return one.lasts && Boolean(this.#wanted.get(owner)?.every(({ lasts }) => lasts));
  }

  #owner(key) {
    for (const [owner, list] of this.#wanted) if (list.some((one) => one.key === key)) return owner;
    return null;
  }

  #next() {
    const longest = Math.max(0, ...[...this.#wanted.values()].map((list) => list.length));
    const isBusy = [...this.#underWay.values()].some(({ one }) => one.lasts);
    for (let at = 0; at < longest; at += 1) {
      for (const [owner, list] of this.#wanted) {
        const one = list[at];
        if (!one || this.has(one.key) || this.#underWay.has(one.key) || this.#failed.has(one.key)) continue;
        if (!(one.lasts && isBusy)) return { one, owner };
      }
    }
    return null;
  }

  #go() {
    const left = this.#pausedUntil - performance.now();
    if (left > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#go(), left);
      return;
    }
    while (this.#underWay.size < this.line.step.atOnce) {
      const next = this.#next();
      if (!next) return;
      void this.#load(next);
    }
  }

  async #load({ one, owner: first }) {
    const { key, url } = one;
    const abort = new AbortController();
    this.#underWay.set(key, { one, owner: first, abort });
    try {
      let file = this.#files.get(key);
      if (!file) {
        file = await this.#fetched(url, abort.signal);
        this.#files.put(key, file, file.size);
      }
      const bitmap = await createImageBitmap(file);
      this.put(key, bitmap);
      const owner = this.#owner(key) ?? (this.#outlasts(one, first) ? first : null);
      if (owner) {
        this.troubled(owner, null);
        this.arrived(owner, key);
      }
    } catch (error) {
      this.#missed(key, error, abort.signal.aborted);
    } finally {
      this.#underWay.delete(key);
      this.#go();
    }
  }

  async #fetched(url, signal) {
    const measured = this.line.begin();
    let bytes = 0;
    try {
      const answer = await fetch(url, { signal, headers: { accept: "image/jpeg" } });
      measured.head();
      if (!answer.ok) throw await troubleOf(answer);
      const file = await answer.blob();
      bytes = file.size;
      return file;
    } finally {
      measured.end(bytes);
    }
  }

  #missed(key, error, isAborted) {
    if (isAborted) return;
    const trouble = error instanceof Trouble ? error : new Trouble("away", "", { seconds: 3 });
    if (trouble.kind === "none") this.#failed.set(key, trouble);
    else this.#pausedUntil = performance.now() + 1000 * Math.max(1, trouble.seconds);
    const owner = this.#owner(key);
    if (!owner) return;
    if (trouble.kind !== "none") this.troubled(owner, trouble); // that is of this picture alone
    this.arrived(owner, key);
  }
}

/// What an answer that is no picture says.
export async function troubleOf(answer) {
  let said = {};
  try {
    said = await answer.json();
  } catch { /* a proxy's page */ }
  if (answer.status === 401) return new Trouble("signed out", "Your session is over.", { seconds: 3600 });
  if (GIVEN_UP.has(answer.status)) return new Trouble("none", said.detail ?? "This cannot be shown.");
  const seconds = Number(answer.headers.get("retry-after")) || 5;
  const isCold = said.state === "restoring" || said.state === "offline";
  return new Trouble(isCold ? "cold" : "away", said.detail ?? "", { seconds, expected: said.expected ?? "" });
}
