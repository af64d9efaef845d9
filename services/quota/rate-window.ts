const bucketMs = 1_000;
// One more than the minute has seconds: the oldest bucket leaves when all of it is a minute old.
const bucketCount = 61;

/**
 * Counts units over the last minute, in buckets of a second: in no 60 s are more than `limit` units admitted.
 *
 * A bucket's units leave the window when the whole bucket is a minute old, so a refusal knows exactly when it ends.
 * Times are milliseconds of any clock that does not go back.
 */
export class RateWindow {
  readonly #units = new Float64Array(bucketCount);
  #newest = 0;
  #used = 0;
  limit: number;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** The units of the last minute. */
  used(nowMs: number): number {
    this.#advance(nowMs);
    return this.#used;
  }

  /** Whether so many more units fit. Units beyond the limit fit when the window is empty: else they never would. */
  fits(units: number, nowMs: number): boolean {
    this.#advance(nowMs);
    return this.#used + Math.min(units, this.limit) <= this.limit && this.limit > 0;
  }

  /** Adds units, and returns the bucket that they are in, for correct(). */
  add(units: number, nowMs: number): number {
    this.#advance(nowMs);
    this.#put(this.#newest, units);
    return this.#newest;
  }

  /** Replaces units added before by the real number. What is more than was added counts from now. */
  correct(bucket: number, added: number, real: number, nowMs: number): void {
    this.#advance(nowMs);
    if (real > added) {
      this.#put(this.#newest, real - added);
    } else if (bucket > this.#newest - bucketCount) {
      this.#put(bucket, real - added);
    }
  }

  /** Milliseconds until so many more units fit; Infinity when the limit is 0. */
  retryDelayMs(units: number, nowMs: number): number {
    this.#advance(nowMs);
    if (this.limit <= 0) {
      return Number.POSITIVE_INFINITY;
    }
    let excess = this.#used + Math.min(units, this.limit) - this.limit;
    for (let bucket = this.#newest - bucketCount + 1; bucket <= this.#newest; bucket += 1) {
      if (excess <= 0) {
        break;
      }
      excess -= this.#at(bucket);
      if (excess <= 0) {
        return leaveTimeMs(bucket) - nowMs;
      }
    }
    return 0;
  }

  /** Milliseconds until the window is empty. */
  resetDelayMs(nowMs: number): number {
    this.#advance(nowMs);
    if (this.#used === 0) {
      return 0;
    }
    let bucket = this.#newest;
    while (this.#at(bucket) === 0 && bucket > this.#newest - bucketCount) {
      bucket -= 1;
    }
    return leaveTimeMs(bucket) - nowMs;
  }

  #advance(nowMs: number): void {
    const current = Math.floor(nowMs / bucketMs);
    if (current <= this.#newest) {
      return;
    }
    if (current - this.#newest >= bucketCount) {
      this.#units.fill(0);
      this.#used = 0;
    } else {
      for (let bucket = this.#newest + 1; bucket <= current; bucket += 1) {
        const index = bucket % bucketCount;
        this.#used -= this.#units[index] ?? 0;
        this.#units[index] = 0;
      }
    }
    this.#newest = current;
  }

  #at(bucket: number): number {
    return bucket < 0 ? 0 : (this.#units[bucket % bucketCount] ?? 0);
  }

  #put(bucket: number, units: number): void {
    const index = bucket % bucketCount;
    this.#units[index] = (this.#units[index] ?? 0) + units;
    this.#used += units;
  }
}

function leaveTimeMs(bucket: number): number {
  return (bucket + bucketCount) * bucketMs;
}
