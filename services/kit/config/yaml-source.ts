import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Pair, type YAMLMap } from "yaml";
import { expandVariables, type VariableSources } from "./expand-variables.ts";
import { type ConfigPath, type ConfigProblem, formatPath } from "./problem.ts";

/** Where a value stands in the file. */
export interface SourcePosition {
  readonly line: number;
  readonly column: number;
}

/** A YAML file as a value whose every part knows where it came from. */
export interface YamlSource {
  /** The tree, with variables filled in. Null when the file is empty. */
  readonly value: unknown;
  /** What is wrong with the text itself, and with its variables. */
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  /** Files that `${file:…}` named. */
  readonly files: readonly string[];
  /** Where the value at a path begins, or the nearest part above it that exists. */
  positionOf(path: ConfigPath): SourcePosition;
  /** Where the key at the end of a path stands, or the same as positionOf. */
  keyPositionOf(path: ConfigPath): SourcePosition;
}

// An alias may stand for a list of aliases, and so on: a short file could otherwise fill the memory.
const maxNodes = 100_000;

/** Reads YAML 1.2 with anchors and merge keys. Never throws; what is wrong is in `problems`. */
export function readYaml(text: string, sources: VariableSources): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const reader = new TreeReader(lines, sources, (node) => (isAlias(node) ? node.resolve(document) : node));
  const value = document.errors.length === 0 ? reader.read(document.contents, []) : null;
  const asProblem = ({ pos, message }: { readonly pos: readonly [number, number]; readonly message: string }) => ({
    ...reader.position(pos[0]),
    path: "",
    message,
    hint: text.startsWith("${", pos[0] - 1) ? 'inside { } and [ ], put quotes around it: "${…}"' : "",
  });
  return {
    value,
    problems: [...document.errors.map(asProblem), ...reader.problems],
    warnings: document.warnings.map(asProblem),
    files: reader.files,
    positionOf: (path) => reader.find(reader.values, path),
    keyPositionOf: (path) =>
      reader.keys.has(JSON.stringify(path)) ? reader.find(reader.keys, path) : reader.find(reader.values, path),
  };
}

class TreeReader {
  readonly problems: ConfigProblem[] = [];
  readonly files: string[] = [];
  readonly values = new Map<string, number>();
  readonly keys = new Map<string, number>();
  readonly #lines: LineCounter;
  readonly #sources: VariableSources;
  readonly #resolve: (node: unknown) => unknown;
  #nodes = 0;

  constructor(lines: LineCounter, sources: VariableSources, resolve: (node: unknown) => unknown) {
    this.#lines = lines;
    this.#sources = sources;
    this.#resolve = resolve;
  }

  position(offset: number): SourcePosition {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  find(index: ReadonlyMap<string, number>, path: ConfigPath): SourcePosition {
    const offset = index.get(JSON.stringify(path));
    if (offset !== undefined) {
      return this.position(offset);
    }
    // For what is missing, the key of the part that lacks it says more than the first line inside that part.
    const parent = path.slice(0, -1);
    return path.length === 0
      ? { line: 1, column: 1 }
      : this.find(this.keys.has(JSON.stringify(parent)) ? this.keys : this.values, parent);
  }

  read(unresolved: unknown, path: ConfigPath): unknown {
    const node = this.#resolve(unresolved);
    this.#nodes += 1;
    if (this.#nodes > maxNodes || path.length > 100) {
      this.#add(offsetOf(unresolved), path, "the file is too large or too deep once its aliases are filled in");
      return null;
    }
    this.values.set(JSON.stringify(path), offsetOf(node));
    if (isMap(node)) {
      return this.#readMap(node, path);
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => this.read(item, [...path, index]));
    }
    if (isScalar(node)) {
      return typeof node.value === "string" ? this.#expand(node.value, offsetOf(node), path) : node.value;
    }
    return null;
  }

  #readMap(map: YAMLMap, path: ConfigPath): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    // Keys that are merged in give way to those written out, wherever the merge key stands.
    const [merges, pairs] = [map.items.filter(isMerge), map.items.filter((pair) => !isMerge(pair))];
    for (const pair of merges) {
      const merged = this.#resolve(pair.value);
      for (const source of (isSeq(merged) ? [...merged.items] : [merged]).toReversed()) {
        const node = this.#resolve(source);
        if (isMap(node)) {
          Object.assign(result, this.#readMap(node, path));
        } else {
          this.#add(offsetOf(pair.key), path, "the merge key << takes a map, or a list of maps");
        }
      }
    }
    for (const pair of pairs) {
      const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
      if (key === undefined || key === "__proto__") {
        this.#add(offsetOf(pair.key), path, "a key is a plain word");
        continue;
      }
      const inner = [...path, key];
      this.#forget(inner, result, key);
      this.keys.set(JSON.stringify(inner), offsetOf(pair.key));
      result[key] = this.read(pair.value, inner);
      if (offsetOf(this.#resolve(pair.value)) < 0) {
        this.values.set(JSON.stringify(inner), offsetOf(pair.key));
      }
    }
    return result;
  }

  /** A merged key that is written out again: positions inside the merged value no longer hold. */
  #forget(path: ConfigPath, result: Record<string, unknown>, key: string): void {
    if (Object.hasOwn(result, key)) {
      const prefix = JSON.stringify(path).slice(0, -1);
      for (const index of [this.values, this.keys]) {
        for (const known of index.keys()) {
          if (known.startsWith(prefix)) {
            index.delete(known);
          }
        }
      }
    }
  }

  #expand(text: string, offset: number, path: ConfigPath): string {
    if (!text.includes("${")) {
      return text;
    }
    const expanded = expandVariables(text, this.#sources);
    this.files.push(...expanded.files);
    if (expanded.kind === "failed") {
      this.#add(offset, path, expanded.message, expanded.hint);
      return text;
    }
    return expanded.text;
  }

  #add(offset: number, path: ConfigPath, message: string, hint = ""): void {
    this.problems.push({ ...this.position(Math.max(0, offset)), path: formatPath(path), message, hint });
  }
}

function isMerge(pair: Pair): boolean {
  return isScalar(pair.key) && pair.key.value === "<<";
}

function offsetOf(node: unknown): number {
  return (isMap(node) || isSeq(node) || isScalar(node) || isAlias(node)) && node.range ? node.range[0] : -1;
}
