import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** What a run of tests came to. */
export interface TestTotals {
  /** Tests that passed. Suites and files are not tests. */
  readonly passed: number;
  /** Tests that failed, hooks of suites that threw, and files that did not load or broke off. */
  readonly failed: number;
  /** Names of the tests that were skipped or are marked as to do. */
  readonly notRun: readonly string[];
}

/** Counts the tests of any number of runs and prints what failed. */
export interface TestReport {
  /** Takes one event of `run()` from node:test. */
  add(event: TestEvent): void;
  /** Notes a failure that no test reports, such as a run that was broken off. */
  fail(message: string): void;
  /** The files that began and have not told yet that they are through. */
  unfinished(): readonly string[];
  /** Notes as failed what is unfinished: a process that exits early takes tests with it, and says 0. */
  endRun(): void;
  totals(): TestTotals;
}

/** Where a report prints, and how it names files. */
export interface TestReportOptions {
  /** Files are named relative to this folder. */
  readonly root: string;
  readonly write: (text: string) => void;
}

/** How many lines that a file printed are kept, to be shown when it fails. */
const maxOutputLines = 200;

/** A report that prints each failure whole when it comes, with what its file printed, and nothing of what passes. */
export function createTestReport(options: TestReportOptions): TestReport {
  let passed = 0;
  let failed = 0;
  const notRun: string[] = [];
  const begun = new Set<string>();
  const namesByFile = new Map<string, string[]>();
  const outputByFile = new Map<string, string[]>();

  function pathOf(file: string | undefined): string {
    return file === undefined ? "(no file)" : relative(options.root, file);
  }

  function titleOf(data: {
    readonly file?: string | undefined;
    readonly name: string;
    readonly nesting: number;
  }): string {
    const path = pathOf(data.file);
    if (isFile(data)) {
      return path;
    }
    const parents = namesByFile.get(data.file ?? "")?.slice(0, data.nesting) ?? [];
    return [path, ...parents, data.name].join(" › ");
  }

  function addFailure(title: string, detail: string, file: string | undefined): void {
    failed += 1;
    const output = outputByFile.get(file ?? "") ?? [];
    outputByFile.delete(file ?? "");
    const lines = [...detail.split("\n"), ...(output.length === 0 ? [] : ["printed by this file:", ...output])];
    options.write(`✖ ${title}\n${lines.map((line) => `    ${line}`.trimEnd()).join("\n")}\n\n`);
  }

  function keepOutput(file: string | undefined, message: string): void {
    const lines = outputByFile.get(file ?? "") ?? [];
    lines.push(...message.split("\n").filter((line) => line.trim() !== ""));
    lines.splice(0, lines.length - maxOutputLines);
    outputByFile.set(file ?? "", lines);
  }

  return {
    add(event) {
      switch (event.type) {
        case "test:start": {
          const names = namesByFile.get(event.data.file ?? "") ?? [];
          names.length = event.data.nesting;
          names.push(event.data.name);
          namesByFile.set(event.data.file ?? "", names);
          begun.add(event.data.file ?? "");
          return;
        }
        case "test:summary":
          begun.delete(event.data.file ?? "");
          return;
        case "test:stdout":
        case "test:stderr":
          keepOutput(event.data.file, event.data.message);
          return;
        case "test:pass": {
          const { data } = event;
          if (isMarked(data.skip) || isMarked(data.todo)) {
            notRun.push(titleOf(data));
          } else if (isFile(data)) {
            begun.delete(data.name);
            addFailure(titleOf(data), "It holds no test, or it ended before the first one did.", data.file);
          } else if (data.details.type !== "suite") {
            passed += 1;
          }
          return;
        }
        case "test:fail": {
          const { data } = event;
          const { error } = data.details;
          if (isFile(data)) {
            begun.delete(data.name);
          }
          if (isMarked(data.todo)) {
            notRun.push(titleOf(data));
          } else if (failureTypeOf(error) !== "subtestsFailed") {
            addFailure(titleOf(data), inspect(error.cause ?? error, { depth: 6 }), data.file);
          }
          return;
        }
        default:
          return;
      }
    },
    fail(message) {
      addFailure(message, "", undefined);
    },
    unfinished: () => [...begun].map((file) => pathOf(file)),
    endRun() {
      for (const file of begun) {
        addFailure(pathOf(file), "It ended before all of its tests did.", file);
      }
      begun.clear();
    },
    totals: () => ({ passed, failed, notRun }),
  };
}

/** Node reports a file that holds no test, or breaks off, as a test that is called like the file. */
function isFile(data: { readonly file?: string | undefined; readonly name: string }): boolean {
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
