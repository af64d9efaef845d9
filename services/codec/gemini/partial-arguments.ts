import { isJsonArray, isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import { CodecError, type Json, type JsonObject } from "../codec.ts";

const MOST_ELEMENTS = 10_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;

type Container = Record<string, unknown> | unknown[];

/** Assembles the arguments of one call from the pieces that Vertex streams, each with the path of its value. */
export interface PartialArguments {
  /** Takes the `partialArgs` of one chunk. Throws CodecError (`invalid_stream`) for a path that does not fit. */
  add(pieces: readonly Json[]): void;
  /** The arguments so far as JSON text. */
  toJson(): string;
}

/** Creates the assembly of one call, beginning with arguments that came whole. */
export function createPartialArguments(whole: JsonObject): PartialArguments {
  const root: Record<string, unknown> = structuredClone(whole);
  let characters = 0;
  // The path of the text that is not whole yet, so that a new text at an old path replaces and does not append.
  let openPath = "";

  function addPiece(piece: JsonObject): void {
    const path = stringOrEmpty(piece["jsonPath"]);
    const keys = parsePath(path);
    const last = keys.pop();
    if (last === undefined) {
      throw badPath(path);
    }
    let container: Container = root;
    for (const [index, key] of keys.entries()) {
      container = enter(container, key, keys[index + 1] ?? last, path);
    }
    const value = readValue(piece);
    const before = readAt(container, last);
    const continues = typeof value === "string" && typeof before === "string" && openPath === path;
    characters += typeof value === "string" ? value.length : 1;
    if (characters > MOST_CHARACTERS) {
      throw new CodecError("the arguments of the tool call are too long", { code: "frame_too_large" });
    }
    writeAt(container, last, continues ? before + value : value, path);
    openPath = piece["willContinue"] === true ? path : "";
  }

  return {
    add(pieces) {
      for (const piece of pieces.filter(isJsonObject)) {
        addPiece(piece);
      }
    },
    toJson: () => JSON.stringify(root),
  };
}

function readValue(piece: JsonObject): unknown {
  const { stringValue, numberValue, boolValue } = piece;
  return stringValue ?? numberValue ?? boolValue ?? null;
}

/** The steps of a path such as `$.places[0].name` or `$['a key']`. */
function parsePath(path: string): (string | number)[] {
  const steps = /\.([^.[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]/gy;
  const keys: (string | number)[] = [];
  steps.lastIndex = 1;
  while (steps.lastIndex < path.length) {
    const match = steps.exec(path);
    if (match === null) {
      throw badPath(path);
    }
    const [, plain, index, single, double] = match;
    keys.push(index === undefined ? (plain ?? (single ?? double ?? "").replaceAll(/\\(.)/g, "$1")) : Number(index));
  }
  return keys;
}

function enter(container: Container, key: string | number, next: string | number, path: string): Container {
  const inner = readAt(container, key);
  if (isContainer(inner)) {
    return inner;
  }
  const made: Container = typeof next === "number" ? [] : {};
  writeAt(container, key, made, path);
  return made;
}

function isContainer(value: unknown): value is Container {
  return typeof value === "object" && value !== null;
}

function readAt(container: Container, key: string | number): unknown {
  return Object.hasOwn(container, key) ? Reflect.get(container, key) : undefined;
}

function writeAt(container: Container, key: string | number, value: unknown, path: string): void {
  const fits = Array.isArray(container)
    ? typeof key === "number" && key <= container.length && key < MOST_ELEMENTS
    : typeof key === "string";
  if (!fits) {
    throw badPath(path);
  }
  // Defining rather than assigning: a key such as `__proto__` is data here.
  Object.defineProperty(container, key, { value, writable: true, enumerable: true, configurable: true });
}

function badPath(path: string): CodecError {
  return new CodecError(`the stream has arguments at ${path}, which do not fit the others`, { code: "invalid_stream" });
}

/** The pieces of a chunk; empty when it has none. */
export function readPartialArgs(call: JsonObject): readonly Json[] {
  return isJsonArray(call["partialArgs"]) ? call["partialArgs"] : [];
}
