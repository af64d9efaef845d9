import { globSync } from "node:fs";
import { join, relative, resolve } from "node:path";

/** Test files that run in one go. */
export interface TestPass {
  /** Absolute paths, sorted. */
  readonly files: readonly string[];
  /** How many files run at a time. */
  readonly concurrency: number;
}

const patterns = ["services/**/*.test.ts", "test/**/*.test.ts"];

/** Suites that kill processes in the middle of load, and so want the machine for themselves. The dollar's mostly waits. */
const alone = /^test\/faults\/(?!money-dollar\.)/;

/**
 * The test files of the tree, those that want the machine for themselves in a pass of their own. Only files at or below
 * one of the paths are taken; all when there is none. A pass without files is left out.
 */
export function findTests(root: string, paths: readonly string[]): readonly TestPass[] {
  const wanted = paths.map((path) => resolve(root, path));
  const files = globSync(patterns, { cwd: root, exclude: (name) => name.split("/").includes("node_modules") })
    .map((file) => join(root, file))
    .filter((file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)))
    .toSorted();
  const isAlone = (file: string): boolean => alone.test(relative(root, file).replaceAll("\\", "/"));
  const passes = [
    { files: files.filter((file) => !isAlone(file)), concurrency: 2 },
    { files: files.filter(isAlone), concurrency: 1 },
  ];
  return passes.filter((pass) => pass.files.length > 0);
}
