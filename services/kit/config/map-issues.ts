import type { z } from "zod";
import { knownKeysAt } from "./known-keys.ts";
import { nearestName } from "./nearest-name.ts";
import { type ConfigPath, type ConfigProblem, formatPath } from "./problem.ts";
import type { YamlSource } from "./yaml-source.ts";

type Issue = z.core.$ZodIssue;

/** What the schema found wrong, with places in the file and hints. */
export function mapIssues(
  issues: readonly Issue[],
  schema: z.core.$ZodType,
  source: YamlSource,
): readonly ConfigProblem[] {
  return issues.flatMap((issue) => mapIssue(issue, [], schema, source));
}

function mapIssue(
  issue: Issue,
  prefix: ConfigPath,
  schema: z.core.$ZodType,
  source: YamlSource,
): readonly ConfigProblem[] {
  const path: ConfigPath = [...prefix, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  const at = (message: string, hint = ""): ConfigProblem => ({
    ...source.positionOf(path),
    path: formatPath(path),
    message,
    hint,
  });
  const meant = (values: readonly unknown[]): string => {
    const value = valueAt(source.value, path);
    const nearest = typeof value === "string" ? nearestName(value, values.map(String)) : undefined;
    return nearest === undefined ? "" : `did you mean "${nearest}"?`;
  };
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const nearest = nearestName(key, knownKeysAt(schema, path));
        return {
          ...source.keyPositionOf([...path, key]),
          path: formatPath(path),
          message: `unknown key "${key}"`,
          hint: nearest === undefined ? "" : `did you mean "${nearest}"?`,
        };
      });
    case "invalid_union": {
      if (isMissing(source.value, path)) {
        return [at("is missing")];
      }
      if ("options" in issue && Array.isArray(issue.options)) {
        // A map whose kind decides what else is in it: with an unknown kind nothing more can be said.
        return [
          at(
            `expected one of ${issue.options.map((option) => `"${String(option)}"`).join(", ")}`,
            meant(issue.options),
          ),
        ];
      }
      return mapUnion(issue, path, schema, source) ?? [at(expectation(issue))];
    }
    case "invalid_value":
      return [at(isMissing(source.value, path) ? "is missing" : issue.message, meant(issue.values))];
    case "invalid_key":
      return [{ ...at(issue.message), ...source.keyPositionOf(path) }];
    case "custom": {
      const hint: unknown = issue.params?.["hint"];
      return [at(issue.message, typeof hint === "string" ? hint : "")];
    }
    default:
      return [at(isMissing(source.value, path) ? "is missing" : issue.message)];
  }
}

/** The problems of the alternative that the value was meant to be; undefined when it is like none of them. */
function mapUnion(
  issue: z.core.$ZodIssueInvalidUnion,
  path: ConfigPath,
  schema: z.core.$ZodType,
  source: YamlSource,
): readonly ConfigProblem[] | undefined {
  const meant = issue.errors
    .filter((branch) => branch.length > 0 && branch.every((inner) => !isWrongShape(inner)))
    .toSorted((left, right) => left.length - right.length)[0];
  return meant?.flatMap((inner) => mapIssue(inner, path, schema, source));
}

/** Names the types that would do, when the alternatives differ only in that. */
function expectation(issue: z.core.$ZodIssueInvalidUnion): string {
  const types = issue.errors.flat().flatMap((inner) => (inner.code === "invalid_type" ? [inner.expected] : []));
  return issue.message === "Invalid input" && types.length > 0
    ? `expected ${[...new Set(types)].join(" or ")}`
    : issue.message;
}

function isWrongShape(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "invalid_value");
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, part)) {
      return undefined;
    }
    // Safe: the line above has shown that the object has this property; its value stays unknown.
    found = (found as Readonly<Record<string | number, unknown>>)[part];
  }
  return found;
}

function isMissing(value: unknown, path: ConfigPath): boolean {
  return path.length > 0 && valueAt(value, path) === undefined;
}
