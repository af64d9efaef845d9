import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "penstock-test-report-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const head = 'import { before, describe, test } from "node:test";';
const report = new URL("test-report.ts", import.meta.url).href;
const runner = join(folder, "runner.ts");
writeFileSync(
  runner,
  [
    'import { run } from "node:test";',
    `import { createTestReport } from ${JSON.stringify(report)};`,
    'let text = "";',
    "const report = createTestReport({ root: process.cwd(), write: (more) => { text += more; } });",
    "for await (const event of run({ files: process.argv.slice(2), timeout: 10_000 })) report.add(event);",
    "report.endRun(process.argv.slice(2));",
    "process.stdout.write(JSON.stringify({ ...report.totals(), text }));",
  ].join("\n"),
);

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly notRun: readonly string[];
  readonly text: string;
}

/** Runs files that hold the given lines in a process of their own: node:test does not run inside of itself. */
function runFiles(sources: Readonly<Record<string, string>>): Outcome {
  const files = Object.entries(sources).map(([name, source]) => {
    const file = join(folder, name);
    writeFileSync(file, `${head}\n${source}\n`);
    return file;
  });
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const ran = spawnSync(process.execPath, [runner, ...files], { cwd: folder, encoding: "utf8", env });
  assert.equal(ran.status, 0, ran.stderr);
  // Written by the runner above.
  return JSON.parse(ran.stdout) as Outcome;
}

test("counts tests, not suites and not files", () => {
  const outcome = runFiles({
    "a.test.ts": 'test("one", () => {}); describe("suite", () => { test("two", () => {}); });',
    "b.test.ts": 'test("three", () => {});',
  });
  assert.deepEqual(outcome, { passed: 3, failed: 0, notRun: [], text: "" });
});

test("prints a failure with its place, its error and what its file printed", () => {
  const outcome = runFiles({
    "c.test.ts":
      'test("parent", async (t) => { console.log("a hint"); await t.test("child", () => { throw new Error("boom"); }); });',
  });
  assert.equal(outcome.failed, 1);
  assert.match(outcome.text, /^✖ c\.test\.ts › parent › child\n {4}Error: boom/);
  assert.match(outcome.text, /printed by c\.test\.ts:\n {4}a hint/);
});

test("counts a suite whose hook throws, and the tests that could not run for it", () => {
  const outcome = runFiles({
    "d.test.ts": 'describe("suite", () => { before(() => { throw new Error("hook"); }); test("one", () => {}); });',
  });
  assert.equal(outcome.passed, 0);
  assert.equal(outcome.failed, 2);
});

test("counts a file that does not load, holds no test or breaks off as failed", () => {
  const outcome = runFiles({
    "e.test.ts": 'import "./nowhere.ts";',
    "f.test.ts": "",
    "g.test.ts": 'test("one", () => {}); test("exits", () => process.exit(0)); test("two", () => {});',
  });
  assert.equal(outcome.failed, 3);
  assert.equal(outcome.passed, 0);
  assert.match(outcome.text, /✖ e\.test\.ts\n[\s\S]*ERR_MODULE_NOT_FOUND/);
  assert.match(outcome.text, /✖ f\.test\.ts\n {4}It holds no test/);
  assert.match(outcome.text, /✖ g\.test\.ts\n {4}It (holds no test|ended before)/);
});

test("follows tests into the file of a contract that two files run", () => {
  const contract = "x.contract.ts";
  writeFileSync(
    join(folder, contract),
    `${head}\nexport const runs = (good) => describe("contract", () => { test("holds", () => { if (!good) throw new Error("bad"); }); });\n`,
  );
  const outcome = runFiles({
    "i.test.ts": `import { runs } from "./${contract}"; runs(true);`,
    "j.test.ts": `import { runs } from "./${contract}"; console.log("from j"); runs(false);`,
  });
  assert.deepEqual([outcome.passed, outcome.failed], [1, 1]);
  assert.match(
    outcome.text,
    /^✖ x\.contract\.ts › contract › holds\n {4}Error: bad[\s\S]*printed by j\.test\.ts:\n {4}from j/,
  );
});

test("names what did not run and counts it as neither", () => {
  const outcome = runFiles({
    "g.test.ts":
      'test("later", { todo: true }, () => { throw new Error("not yet"); }); test("absent", { skip: "no server" }, () => {});',
  });
  assert.equal(outcome.passed, 0);
  assert.equal(outcome.failed, 0);
  assert.deepEqual(outcome.notRun.toSorted(), ["g.test.ts › absent", "g.test.ts › later"]);
  assert.equal(outcome.text, "");
});
