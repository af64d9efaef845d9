import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The files that two folders do not hold alike, byte for byte, by path and in order. An absent folder is empty. */
export function compareTrees(actual: string, expected: string): readonly string[] {
  const found = readTree(actual);
  const wanted = readTree(expected);
  const paths = new Set([...found.keys(), ...wanted.keys()]);
  return [...paths].filter((path) => !isSame(found.get(path), wanted.get(path))).toSorted();
}

function isSame(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a !== undefined && b !== undefined && a.equals(b);
}

function readTree(folder: string): ReadonlyMap<string, Buffer> {
  let names: readonly string[];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return new Map();
    }
    throw error;
  }
  return new Map(names.map((name) => [name.slice(folder.length + 1).replaceAll("\\", "/"), readFileSync(name)]));
}
