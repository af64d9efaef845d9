import type { Random } from "./random.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const strange: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 60,
  "",
  "\u0000",
  "\ud800",
  "x".repeat(5_000),
  "constructor",
  [],
  [[]],
  [null],
  {},
  { "": null },
];

interface Place {
  readonly parent: Json[] | { [name: string]: Json };
  readonly name: string | number;
}

/** Changes one to three members of a JSON value somewhere in its depth: removes, replaces, repeats, renames, swaps. */
export function mutateJson(value: Json, random: Random): Json {
  const copy = structuredClone(value);
  const places: Place[] = [];
  collect(copy, places);
  if (places.length === 0) {
    return random.pick(strange);
  }
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    change(random.pick(places), places, random);
  }
  return copy;
}

function collect(value: Json, places: Place[]): void {
  if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) {
      places.push({ parent: value, name: index });
      collect(element, places);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      places.push({ parent: value, name });
      collect(member, places);
    }
  }
}

function change({ parent, name }: Place, places: readonly Place[], random: Random): void {
  if (Array.isArray(parent)) {
    const index = Number(name);
    switch (random.below(5)) {
      case 0:
        parent.splice(index, 1);
        break;
      case 1:
        parent.splice(index, 0, structuredClone(parent[index] ?? null));
        break;
      case 2:
        parent.length = 0;
        break;
      case 3:
        parent.reverse();
        break;
      default:
        parent[index] = random.pick(strange);
    }
    return;
  }
  const key = String(name);
  switch (random.below(6)) {
    case 0:
      delete parent[key];
      break;
    case 1:
      parent[`${key}x`] = parent[key] ?? null;
      delete parent[key];
      break;
    case 2: {
      // The value of another member, which may have another type.
      const other = random.pick(places);
      parent[key] = structuredClone((other.parent as { [name: string]: Json })[other.name] ?? null);
      break;
    }
    case 3:
      parent[key] = [parent[key] ?? null];
      break;
    default:
      parent[key] = random.pick(strange);
  }
}

/** As `mutateJson` for the JSON in a text; undefined when the text is none. */
export function mutateJsonText(text: string, random: Random): string | undefined {
  try {
    // JSON.parse makes nothing else.
    return JSON.stringify(mutateJson(JSON.parse(text) as Json, random));
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
