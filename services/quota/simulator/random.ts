/** Chance that is the same for the same seed. */
export interface Random {
  /** A number from 0 to below 1. */
  next(): number;
  /** A whole number from 0 to below `end`. */
  below(end: number): number;
  /** Whether something of this probability happens. */
  chance(probability: number): boolean;
  /** One of several; throws RangeError when there is none. */
  pick<T>(items: readonly T[]): T;
}

/** Makes chance from a seed, a whole number: a generator of 32 bits of state by a Weyl sequence and a mixing step. */
export function createRandom(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (end: number): number => Math.floor(next() * end);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick(items) {
      const place = below(items.length);
      if (place >= items.length) {
        throw new RangeError("there is nothing to pick from");
      }
      // Within the bounds, as just checked: an element of type T is there.
      return items[place] as (typeof items)[number];
    },
  };
}
