import { readFileSync } from "node:fs";
import { z } from "zod";
import { mapIssues } from "./map-issues.ts";
import { type ConfigPath, type ConfigProblem, formatPath } from "./problem.ts";
import { readYaml } from "./yaml-source.ts";

/** Something that a check beyond the schema found: an unknown target, a doubtful value. */
export interface ConfigFinding {
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint?: string;
}

/** What loadConfig needs. */
export interface LoadConfigOptions<S extends z.ZodType> {
  /** The YAML text. */
  readonly text: string;
  /** What it must look like; maps that refuse unknown keys are strictObjects. */
  readonly schema: S;
  /** Where variables come from. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Finds what the schema cannot; only called when the schema is content. */
  readonly check?: (config: z.output<S>) => readonly ConfigFinding[];
  /** Finds what works but should be known. */
  readonly warn?: (config: z.output<S>) => readonly ConfigFinding[];
  /** Reads the files that `${file:…}` names. From the disk unless given. */
  readonly readFile?: (path: string) => string;
}

/** A usable configuration, or everything that is wrong with the file. */
export type LoadResult<T> =
  | {
      readonly ok: true;
      /** Frozen to its depth. */
      readonly config: T;
      readonly warnings: readonly ConfigProblem[];
      /** Files whose content is part of the configuration. */
      readonly files: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly files: readonly string[] };

/** Reads, checks and freezes a configuration. Never throws; all problems are found in one run, in order of place. */
export function loadConfig<S extends z.ZodType>(options: LoadConfigOptions<S>): LoadResult<z.output<S>> {
  const source = readYaml(options.text, {
    env: options.env,
    readFile: options.readFile ?? ((path) => readFileSync(path, "utf8")),
  });
  const fail = (problems: readonly ConfigProblem[]): LoadResult<z.output<S>> => ({
    ok: false,
    problems: problems.toSorted((left, right) => left.line - right.line || left.column - right.column),
    files: source.files,
  });
  const syntaxBroken = source.value === null && source.problems.length > 0;
  if (syntaxBroken) {
    return fail(source.problems);
  }
  const parsed = options.schema.safeParse(source.value ?? {});
  if (!parsed.success || source.problems.length > 0) {
    const issues = parsed.success ? [] : mapIssues(parsed.error.issues, options.schema, source);
    const known = new Set(source.problems.map(({ path }) => path));
    // A variable that is not set is one problem, not a second one when its place holder does not fit the schema.
    return fail([...source.problems, ...issues.filter(({ path }) => path === "" || !known.has(path))]);
  }
  const place = ({ path, message, hint = "" }: ConfigFinding): ConfigProblem => ({
    ...source.positionOf(path),
    path: formatPath(path),
    message,
    hint,
  });
  const findings = options.check?.(parsed.data) ?? [];
  if (findings.length > 0) {
    return fail(findings.map(place));
  }
  return {
    ok: true,
    config: deepFreeze(parsed.data),
    warnings: [...source.warnings, ...(options.warn?.(parsed.data) ?? []).map(place)],
    files: source.files,
  };
}

/** The JSON Schema (draft 7, as editors want it) of what people may write. */
export function jsonSchemaOf(schema: z.ZodType): Record<string, unknown> {
  return { ...z.toJSONSchema(schema, { target: "draft-7", io: "input", unrepresentable: "any" }) };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) {
      deepFreeze(inner);
    }
  }
  return value;
}
