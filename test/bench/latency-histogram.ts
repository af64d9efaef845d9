/** Buckets for each doubling: a value is known to 0.8 %. */
const bucketsPerDoubling = 128;
const doublings = 28;

/**
 * Counts latencies in buckets that grow with the value, so that any number of them takes the same memory and the
 * percentiles of the tail are as exact as those of the middle.
 */
export class LatencyHistogram {
  readonly #counts = new Float64Array(bucketsPerDoubling * doublings);
  #total = 0;

  /** Adds one latency in milliseconds. */
  add(latencyMs: number): void {
    const micros = Math.max(1, latencyMs * 1_000);
    const bucket = Math.min(this.#counts.length - 1, Math.floor(Math.log2(micros) * bucketsPerDoubling));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
  }

  /** How many were added. */
  get total(): number {
    return this.#total;
  }

  /** The latency in milliseconds that a share of all, from 0 to 1, does not exceed; NaN when there is none. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#total));
    for (let bucket = 0; bucket < this.#counts.length; bucket += 1) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) {
        return 2 ** ((bucket + 0.5) / bucketsPerDoubling) / 1_000;
      }
    }
    return Number.NaN;
  }
}
