import { wireExceptions } from "./exceptions.ts";
import type { WireResult } from "./play-recordings.ts";

/** A table of providers by doors, passed of all, as text. What is excepted counts as passed. */
export function writeTable(results: readonly WireResult[], doors: readonly string[]): string {
  const providers = [...new Set(results.map((result) => result.provider))].toSorted();
  const cell = (fits: (result: WireResult) => boolean): string => {
    const all = results.filter(fits);
    return all.length === 0 ? "" : `${all.filter((result) => result.failures.length === 0).length}/${all.length}`;
  };
  const rows = providers.map((provider) => [
    provider,
    ...doors.map((door) => cell((result) => result.provider === provider && result.door === door)),
  ]);
  const total = ["all", ...doors.map((door) => cell((result) => result.door === door))];
  return alignColumns([["", ...doors], ...rows, total]);
}

/** What differs and should not, one paragraph for each answer; empty when all passed. */
export function writeFailures(results: readonly WireResult[]): string {
  return results
    .filter((result) => result.failures.length > 0)
    .toSorted((a, b) => a.id.localeCompare(b.id) || a.door.localeCompare(b.door))
    .map(({ id, door, failures }) => `${id} at ${door}\n${failures.map((failure) => `    ${failure}\n`).join("")}`)
    .join("");
}

/** The exceptions that were used, with their arguments and how often. */
export function writeExceptions(results: readonly WireResult[]): string {
  const used = results.flatMap((result) => [...new Set(result.excepted.map((each) => each.exception))]);
  return wireExceptions
    .map(({ name, argument }) => ({ name, argument, count: used.filter((each) => each === name).length }))
    .filter(({ count }) => count > 0)
    .map(({ name, argument, count }) => `${name} (${count}): ${argument}\n`)
    .join("");
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => `${row.map((text, column) => text.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd())
    .map((line) => `${line}\n`)
    .join("");
}
