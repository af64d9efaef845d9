/** A source of numbers that a seed determines: the same seed makes the same mutants on every machine. */
export interface Random {
  /** A whole number from 0 up to, but not, the bound. */
  below(bound: number): number;
  /** One of a list, which is not empty. */
  pick<T>(list: readonly T[]): T;
  chance(share: number): boolean;
}

/** Makes a source from a seed of 32 bits (Mulberry32, a public-domain generator). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    chance: (share) => next() < share,
    pick(list) {
      if (list.length === 0) {
        throw new RangeError("there is nothing to pick");
      }
      // The index is within the list, which holds no holes.
      return list[below(list.length)] as (typeof list)[number];
    },
  };
}
