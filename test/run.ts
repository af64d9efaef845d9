import { run } from "node:test";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";
import { startTestPostgres, type TestPostgres } from "#kit/testing/postgres.ts";
import { findProgram } from "./tools/find-program.ts";
import { findTests, type TestPass } from "./tools/find-tests.ts";
import { createTestReport } from "./tools/test-report.ts";

// `npm test [-- PATH…]`: runs the tests at or below the paths, all when none is given, against one Postgres and the
// machine's nats-server. The last line is "N passed, N failed"; the exit code is 1 when one failed or none ran.

/** How long one test may take, unless it names a time of its own. */
const testTimeoutMs = 120_000;
/** A file that says nothing for so long after its last test keeps something open and would run for ever. */
const silenceMs = 180_000;

const root = fileURLToPath(new URL("..", import.meta.url));
const write = (text: string): void => void process.stdout.write(text);
const report = createTestReport({ root, write });
const stop = new AbortController();
let postgres: TestPostgres | undefined;

process.once("SIGINT", () => interrupt("SIGINT"));
process.once("SIGTERM", () => interrupt("SIGTERM"));

try {
  const passes = findTests(root, process.argv.slice(2));
  const nats = findProgram("nats-server");
  if (passes.length === 0) {
    report.fail("no test file is there");
  } else if (nats === undefined) {
    report.fail("nats-server is not there: install it with `apt-get install nats-server`");
  } else {
    process.env["PATH"] = [process.env["PATH"], nats].join(delimiter);
    postgres = await startTestPostgres();
    process.env["PENSTOCK_TEST_DATABASE_URL"] = postgres.url;
    for (const pass of passes) {
      await runPass(pass);
    }
  }
} catch (error) {
  report.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  await postgres?.close();
}

const { passed, failed, notRun } = report.totals();
if (notRun.length > 0) {
  write(`not run:\n${notRun.map((name) => `    ${name}\n`).join("")}`);
}
write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

async function runPass(pass: TestPass): Promise<void> {
  if (stop.signal.aborted) {
    return;
  }
  const events = run({
    files: [...pass.files],
    concurrency: pass.concurrency,
    timeout: testTimeoutMs,
    signal: stop.signal,
    cwd: root,
  });
  const watch = setTimeout(() => {
    report.fail(
      `nothing was heard for ${silenceMs / 1000} s; these do not end: ${report.unfinished(pass.files).join(", ")}`,
    );
    stop.abort();
  }, silenceMs);
  try {
    for await (const event of events) {
      watch.refresh();
      report.add(event);
    }
  } finally {
    clearTimeout(watch);
    if (!stop.signal.aborted) {
      report.endRun(pass.files);
    }
  }
}

function interrupt(signal: string): void {
  report.fail(`the run was ended by ${signal}`);
  stop.abort();
}
