import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { DirectoryLockedError, lockDirectory } from "./directory-lock.ts";
import { startTimeOf } from "./process-identity.ts";

describe("lockDirectory", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "penstock-lock-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const plant = (owner: unknown): void =>
    writeFileSync(join(directory, "lock"), typeof owner === "string" ? owner : JSON.stringify(owner));

  it("is exclusive until released, and leaves nothing behind", () => {
    const lock = lockDirectory(directory);
    assert.throws(() => lockDirectory(directory), DirectoryLockedError);
    lock.release();
    lock.release();
    const second = lockDirectory(directory);
    lock.release();
    assert.throws(() => lockDirectory(directory), DirectoryLockedError);
    second.release();
    assert.deepEqual(readdirSync(directory), []);
  });

  it("names the process that holds it", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    plant({ pid: child.pid, startTime: startTimeOf(child.pid ?? 0) });
    assert.throws(() => lockDirectory(directory), new RegExp(`in use by process ${child.pid}`));
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    lockDirectory(directory).release();
  });

  for (const { what, owner } of [
    { what: "a pid that another program has now", owner: { pid: process.pid, startTime: "1" } },
    { what: "a pid that nobody has", owner: { pid: 2 ** 22 + 1, startTime: "1" } },
    { what: "a file cut by a power failure", owner: '{"pi' },
    { what: "an empty file", owner: "" },
  ]) {
    it(`takes over ${what}`, () => {
      plant(owner);
      const lock = lockDirectory(directory);
      assert.throws(() => lockDirectory(directory), DirectoryLockedError);
      lock.release();
    });
  }
});
