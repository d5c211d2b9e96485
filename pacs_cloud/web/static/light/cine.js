// Plays what a pane shows: as fast as that wants, or as the pictures come.

const RATE = 12;

/// Images a second: as somebody has chosen for a source, else as it says itself.
export const rateOf = (source) => source.rate ?? RATE;

export class Cine {
  isSwinging = false;
  #pane = null;
  #direction = 1;
  #last = 0;
  #frame = 0;

  constructor(changed) {
    this.changed = changed;
  }

  get isPlaying() {
    return this.#pane !== null;
  }

  start(pane) {
    if (!pane.source || pane.source.count < 2) return;
    this.#pane = pane;
    this.#direction = 1;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#tick(now));
    this.changed();
  }

  stop() {
    if (!this.#pane) return;
    cancelAnimationFrame(this.#frame);
    this.#pane = null;
    this.changed();
  }

  toggle(pane) {
    if (this.isPlaying) this.stop();
    else this.start(pane);
  }

  #next() {
    const { at, source } = this.#pane;
    let next = at + this.#direction;
    if (next >= source.count || next < 0) {
      if (!this.isSwinging) return this.#direction > 0 ? 0 : source.count - 1;
      this.#direction *= -1;
      next = at + this.#direction;
    }
    return next;
  }

  #tick(now) {
    if (!this.#pane) return;
    const frameMs = 1000 / rateOf(this.#pane.source);
    if (now - this.#last >= frameMs) {
      const next = this.#next();
      if (this.#pane.isSettled(this.#pane.at)) {
        // It keeps time, but does not run after what was missed.
        this.#last = Math.max(this.#last + frameMs, now - frameMs);
        this.#pane.go(next);
      }
    }
    this.#frame = requestAnimationFrame((then) => this.#tick(then));
  }
}
