// What the line bears: pictures are asked for as small, and as many, as arrive in time.

const STEPS = [
  { name: "Very thin line", most: 60, small: 128, smallQuality: 40, sharp: 512, quality: 60, ahead: 4, atOnce: 2 },
  { name: "Thin line", most: 300, small: 192, smallQuality: 50, sharp: 1024, quality: 70, ahead: 10, atOnce: 3 },
  { name: "Fair line", most: 1200, small: 256, smallQuality: 60, sharp: 2048, quality: 85, ahead: 24, atOnce: 5 },
  { name: "Good line", most: Infinity, small: 384, smallQuality: 70, sharp: 4096, quality: 90, ahead: 40, atOnce: 6 },
];
const EFFECTIVE = { "slow-2g": 20, "2g": 40, "3g": 200 };
const REMEMBERED = 24;

export class Line {
  #connection = navigator.connection;
  #samples = [];
  #coming = 0;
  #since = 0;
  #busy = 0;
  #latency = 0;

  /// Begin a request; call what it returns when its head is there, and with its bytes at its end.
  begin() {
    const start = performance.now();
    let first = null;
    return {
      head: () => {
        const now = performance.now();
        first = now - start;
        if (!this.#coming++) this.#since = now;
      },
      end: (bytes) => {
        if (first === null) return;
        const now = performance.now();
        this.#busy += now - this.#since;
        this.#since = now;
        this.#coming -= 1;
        if (!bytes) return;
        this.#latency = this.#latency ? this.#latency * 0.8 + first * 0.2 : first;
        this.#samples.push([bytes, this.#busy]);
        if (this.#samples.length > REMEMBERED) this.#samples.shift();
      },
    };
  }

  /// Kilobytes a second while some were coming: how long the archive draws is not the line's
  /// fault. null: nobody knows yet.
  get rate() {
    if (this.#samples.length < 4) return null;
    const bytes = this.#samples.slice(1).reduce((sum, [some]) => sum + some, 0);
    const ms = this.#samples.at(-1)[1] - this.#samples[0][1];
    return bytes / Math.max(this.#samples.length, ms);
  }

  get isSaving() {
    return Boolean(this.#connection?.saveData);
  }

  /// How pictures are asked for now.
  get step() {
    const rate = this.rate ?? EFFECTIVE[this.#connection?.effectiveType] ?? 1000;
    const found = STEPS.findIndex((one) => rate < one.most);
    return STEPS[this.isSaving ? Math.min(found, 1) : found];
  }

  /// The same in words, for whoever wonders why pictures are coarse.
  get words() {
    const rate = this.rate;
    if (rate === null) return this.isSaving ? "Saving data" : "";
    const speed = rate >= 1000 ? `${(rate / 1000).toFixed(1)} MB/s` : `${Math.round(rate)} kB/s`;
    return `${this.isSaving ? "Saving data" : this.step.name} · ${speed} · ${Math.round(this.#latency)} ms`;
  }
}
