import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it, type TestContext } from "node:test";
import { createLiveConfig, fixedLive, type LiveConfig, type ReloadResult } from "./create-live-config.ts";
import { selectLive } from "./select-live.ts";

describe("createLiveConfig", () => {
  let directory: string;
  let path: string;
  let live: LiveConfig<{ value: string }> | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "penstock-live-"));
    path = join(directory, "penstock.yaml");
    writeFileSync(path, "one");
  });
  afterEach(() => {
    live?.stop();
    rmSync(directory, { recursive: true });
  });

  const load = (): { value: string } => {
    const value = readFileSync(path, "utf8");
    if (value.startsWith("bad")) {
      throw new Error("penstock.yaml:1:1  is bad");
    }
    return Object.freeze({ value });
  };
  const open = (t: TestContext): LiveConfig<{ value: string }> => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    live = createLiveConfig({ path, load });
    return live;
  };

  it("notices a change within its interval, swaps the value and tells", (t) => {
    const config = open(t);
    const before = config.current;
    const seen: string[] = [];
    const unsubscribe = config.subscribe(({ value }) => seen.push(value));
    writeFileSync(path, "second");
    assert.equal(config.current.value, "one");
    t.mock.timers.tick(2000);
    assert.deepEqual([config.current.value, config.version, before.value], ["second", 2, "one"]);
    unsubscribe();
    writeFileSync(path, "the third");
    t.mock.timers.tick(2000);
    assert.deepEqual([config.current.value, seen], ["the third", ["second"]]);
  });

  it("keeps the old value while the file is invalid or gone, says so once, and takes the next good one", (t) => {
    const config = open(t);
    const results: ReloadResult[] = [];
    config.onReload((result) => results.push(result));
    writeFileSync(path, "bad file");
    t.mock.timers.tick(2000);
    utimesSync(path, 1, 1);
    t.mock.timers.tick(2000);
    assert.deepEqual([config.current.value, config.version, results.length], ["one", 1, 1]);
    assert.equal(results[0]?.ok === false && results[0].message, "penstock.yaml:1:1  is bad");
    rmSync(path);
    t.mock.timers.tick(6000);
    assert.deepEqual([config.current.value, results.length], ["one", 2]);
    writeFileSync(path, "good");
    t.mock.timers.tick(2000);
    assert.deepEqual([config.current.value, results.at(-1)], ["good", { ok: true, changed: true, version: 2 }]);
  });

  it("takes the old content put back after an invalid one as a change that is fine", (t) => {
    const config = open(t);
    const results: boolean[] = [];
    config.onReload(({ ok }) => results.push(ok));
    writeFileSync(path, "bad file");
    t.mock.timers.tick(2000);
    writeFileSync(path, "one");
    t.mock.timers.tick(2000);
    assert.deepEqual(results, [false, true]);
  });

  it("does not count a touched file as a change", (t) => {
    const config = open(t);
    utimesSync(path, 5, 5);
    t.mock.timers.tick(2000);
    assert.equal(config.version, 1);
  });

  it("notices files replaced by renaming and by a swapped symbolic link", (t) => {
    const config = open(t);
    writeFileSync(join(directory, "new"), "two");
    renameSync(join(directory, "new"), path);
    t.mock.timers.tick(2000);
    assert.equal(config.current.value, "two");
    writeFileSync(join(directory, "data"), "six");
    symlinkSync("data", join(directory, "link"));
    renameSync(join(directory, "link"), path);
    t.mock.timers.tick(2000);
    assert.equal(config.current.value, "six");
  });

  it("reads at once when asked", async (t) => {
    const config = open(t);
    assert.deepEqual(await config.reload(), { ok: true, changed: false, version: 1 });
    writeFileSync(path, "two");
    assert.deepEqual(await config.reload(), { ok: true, changed: true, version: 2 });
    writeFileSync(path, "bad");
    assert.equal((await config.reload()).ok, false);
    assert.equal(config.current.value, "two");
  });

  it("watches the other files that are part of it", (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const key = join(directory, "key");
    writeFileSync(key, "k1");
    const watched = createLiveConfig({ path, files: () => [key], load: () => ({ value: readFileSync(key, "utf8") }) });
    writeFileSync(key, "k2");
    t.mock.timers.tick(2000);
    assert.equal(watched.current.value, "k2");
    watched.stop();
  });

  it("goes on when a listener throws, and reports that", (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const errors: unknown[] = [];
    const seen: string[] = [];
    live = createLiveConfig({ path, load, onError: (error) => errors.push(error) });
    live.subscribe(() => {
      throw new Error("a listener's mistake");
    });
    live.subscribe(({ value }) => seen.push(value));
    writeFileSync(path, "two");
    t.mock.timers.tick(2000);
    assert.deepEqual([seen, errors.length], [["two"], 1]);
  });

  it("fails when the file is invalid from the start, and does nothing after it was stopped", (t) => {
    const config = open(t);
    config.stop();
    writeFileSync(path, "bad");
    t.mock.timers.tick(10_000);
    assert.equal(config.version, 1);
    assert.throws(() => createLiveConfig({ path, load }), /is bad/);
  });
});

describe("selectLive", () => {
  it("follows the whole and is made once for each version", async () => {
    const directory = mkdtempSync(join(tmpdir(), "penstock-live-"));
    const path = join(directory, "file");
    writeFileSync(path, "a");
    const whole = createLiveConfig({ path, load: () => ({ text: readFileSync(path, "utf8") }) });
    const part = selectLive(whole, ({ text }) => ({ length: text.length }));
    assert.equal(part.current, part.current);
    const seen: number[] = [];
    part.subscribe(({ length }) => seen.push(length));
    writeFileSync(path, "abc");
    await whole.reload();
    assert.deepEqual([part.current.length, part.version, seen], [3, 2, [3]]);
    whole.stop();
    rmSync(directory, { recursive: true });
  });

  it("works on a fixed value", () => {
    assert.equal(selectLive(fixedLive({ a: 1 }), ({ a }) => a).current, 1);
  });
});
