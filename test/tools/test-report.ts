import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** What a run of tests came to. */
export interface TestTotals {
  /** Tests that passed. Suites and files are not tests. */
  readonly passed: number;
  /** Tests that failed, hooks of suites that threw, and files that did not load, hold no test or broke off. */
  readonly failed: number;
  /** Names of the tests that were skipped or are marked as to do. */
  readonly notRun: readonly string[];
}

/** Counts the tests of any number of runs and prints what failed. */
export interface TestReport {
  /** Takes one event of `run()` from node:test. Runs come one after the other. */
  add(event: TestEvent): void;
  /** Notes a failure that no test reports, such as a run that was ended from outside. */
  fail(message: string): void;
  /** Those of the files that have not told yet that they are through. */
  unfinished(files: readonly string[]): readonly string[];
  /** Notes as failed what is unfinished: a process that exits early takes its tests with it, and says 0. */
  endRun(files: readonly string[]): void;
  totals(): TestTotals;
}

/** Where a report prints, and how it names files. */
export interface TestReportOptions {
  /** Files are named relative to this folder. */
  readonly root: string;
  readonly write: (text: string) => void;
}

/** What a test is called and where it is. A test of a contract is in the contract's file, not in the one that runs. */
interface TestPlace {
  readonly file?: string | undefined;
  readonly name: string;
  readonly nesting: number;
}

/** How many lines that a file printed are kept, to be shown when it fails. */
const maxOutputLines = 200;

/** A report that prints each failure whole when it comes, with what its file printed, and nothing of what passes. */
export function createTestReport(options: TestReportOptions): TestReport {
  let passed = 0;
  let failed = 0;
  const notRun: string[] = [];
  const finished = new Set<string>();
  // Node sends the events of one file after those of another, also when both run at once.
  const names: string[] = [];
  const output = new Map<string, string[]>();
  let failedBefore = 0;

  const pathOf = (file: string): string => relative(options.root, file);
  const unfinished = (files: readonly string[]): readonly string[] => files.filter((file) => !finished.has(file));

  function titleOf(data: TestPlace): string {
    const place = data.file === undefined ? [] : [pathOf(data.file)];
    return isFile(data) ? place.join("") : [...place, ...names.slice(0, data.nesting), data.name].join(" › ");
  }

  function addFailure(title: string, detail: string): void {
    failed += 1;
    options.write(`✖ ${title}\n${indent(detail.split("\n"))}\n`);
  }

  function finish(file: string): void {
    finished.add(file);
    const lines = output.get(file);
    output.delete(file);
    if (failed > failedBefore && lines !== undefined) {
      options.write(`printed by ${pathOf(file)}:\n${indent(lines)}\n`);
    }
    failedBefore = failed;
  }

  function keepOutput(file: string, message: string): void {
    const lines = output.get(file) ?? [];
    lines.push(...message.split("\n").filter((line) => line.trim() !== ""));
    lines.splice(0, lines.length - maxOutputLines);
    output.set(file, lines);
  }

  return {
    add(event) {
      switch (event.type) {
        case "test:start":
          names.length = event.data.nesting;
          names.push(event.data.name);
          return;
        case "test:stdout":
        case "test:stderr":
          keepOutput(event.data.file, event.data.message);
          return;
        case "test:summary":
          if (event.data.file !== undefined) {
            finish(event.data.file);
          }
          return;
        case "test:pass": {
          const { data } = event;
          if (isMarked(data.skip) || isMarked(data.todo)) {
            notRun.push(titleOf(data));
          } else if (isFile(data)) {
            addFailure(titleOf(data), "It holds no test, or it ended before the first one did.");
            finish(data.name);
          } else if (data.details.type !== "suite") {
            passed += 1;
          }
          return;
        }
        case "test:fail": {
          const { data } = event;
          const { error } = data.details;
          if (isMarked(data.todo)) {
            notRun.push(titleOf(data));
          } else if (failureTypeOf(error) !== "subtestsFailed") {
            addFailure(titleOf(data), inspect(error.cause ?? error, { depth: 6 }));
          }
          if (isFile(data)) {
            finish(data.name);
          }
          return;
        }
        default:
          return;
      }
    },
    fail(message) {
      addFailure(message, "");
    },
    unfinished: (files) => unfinished(files).map(pathOf),
    endRun(files) {
      for (const file of unfinished(files)) {
        addFailure(pathOf(file), "It ended before all of its tests did.");
        finish(file);
      }
    },
    totals: () => ({ passed, failed, notRun }),
  };
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `${`    ${line}`.trimEnd()}\n`).join("");
}

/** Node reports a file that holds no test, or breaks off, as a test that is called like the file. */
function isFile(data: TestPlace): boolean {
  return data.name === data.file;
}

/** The mark is the reason where one was given. */
function isMarked(mark: string | boolean | undefined): boolean {
  return mark !== undefined && mark !== false;
}

/** Why node:test calls a test failed; a test that failed by its subtests alone has been reported with them. */
function failureTypeOf(error: Error): unknown {
  return "failureType" in error ? error.failureType : undefined;
}
