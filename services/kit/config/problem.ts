/** Something wrong, or doubtful, in a configuration file. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** Such as `providers.openai-us.kind` or `limits[0].rpm`; empty for the whole file. */
  readonly path: string;
  /** What is wrong. Never holds a value that came from the environment or from another file. */
  readonly message: string;
  /** What to do about it; empty when there is nothing to say. */
  readonly hint: string;
}

/** Where a value is in the tree: names of keys and indexes of lists. */
export type ConfigPath = readonly (string | number)[];

/** Writes a path as people do. */
export function formatPath(path: ConfigPath): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)).join("");
}
