import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { DirectoryLockedError } from "./directory-lock.ts";
import { frameHeaderBytes } from "./frame.ts";
import { eventRecord, type Journal, JournalClosedError, JournalFullError, openedRecord } from "./journal.ts";
import { type JournalFileSystem, realFileSystem } from "./journal-file-system.ts";
import { type JournalOptions, type OpenedJournal, openJournal } from "./open-journal.ts";

describe("a journal", () => {
  let directory: string;
  const opened: Journal[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "penstock-journal-"));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((journal) => journal.close()));
    rmSync(directory, { recursive: true });
  });

  const open = async (options: Partial<JournalOptions> = {}): Promise<OpenedJournal> => {
    const result = await openJournal({ directory, ...options });
    opened.push(result.journal);
    return result;
  };
  const files = (): string[] => readdirSync(directory).filter((name) => name.endsWith(".journal"));
  const onlyFile = (): string => join(directory, files()[0] ?? "");

  /** Leaves records in the folder as a process that ended without confirming them does. */
  const leave = async (payloads: readonly (string | Uint8Array)[]): Promise<void> => {
    const { journal } = await open();
    for (const payload of payloads) {
      journal.append(eventRecord, payload);
    }
    await journal.close();
  };
  const recoveredTexts = async (): Promise<{ texts: string[]; damaged: number }> => {
    const { journal, recovered, damaged } = await open();
    await journal.close();
    return { texts: recovered.map(({ payload }) => payload.toString()), damaged };
  };

  it("gives back what was not confirmed: numbers, kinds, payloads and order", async () => {
    const first = await open();
    const one = first.journal.append(openedRecord, "one é 漢 🚰");
    const two = first.journal.append(eventRecord, Buffer.from([0, 255, 0xf5, 0x50, 0x4a, 0x31]));
    const three = first.journal.append(eventRecord, "");
    first.journal.confirm(two);
    await first.journal.close();

    const second = await open();
    assert.equal(second.damaged, 0);
    assert.deepEqual(second.recovered[0], { kind: openedRecord, sequence: one, payload: Buffer.from("one é 漢 🚰") });
    assert.deepEqual(second.recovered.at(-1), { kind: eventRecord, sequence: three, payload: Buffer.alloc(0) });
    assert.ok(one < two && two < three);
    assert.ok(second.journal.append(eventRecord, "four") > three);
    assert.notEqual(second.journal.id, first.journal.id);
  });

  it("never gives a number twice, even when every file is gone", async () => {
    const first = await open();
    const used = first.journal.append(eventRecord, "one");
    first.journal.confirm(used);
    await first.journal.close();
    assert.deepEqual(files(), []);
    const second = await open();
    assert.ok(second.journal.append(eventRecord, "two") > used);
  });

  it("writes the records of one turn with one call, and calls back after it", async () => {
    const writes: number[] = [];
    const { journal } = await open({ fileSystem: spyOn({ write: (length) => writes.push(length) }) });
    const called: number[] = [];
    for (let index = 0; index < 100; index += 1) {
      journal.append(eventRecord, "x".repeat(500), (error) => {
        assert.equal(error, undefined);
        assert.equal(writes.length, 1);
        called.push(index);
      });
    }
    assert.deepEqual([writes.length, called.length, journal.pending], [0, 0, 100]);
    await turn();
    assert.deepEqual(writes, [100 * (500 + frameHeaderBytes)]);
    assert.deepEqual(called, [...Array(100).keys()]);
    assert.equal(journal.pendingBytes, writes[0]);
  });

  it("syncs in the background, and does not make callbacks wait for it", async () => {
    const syncs: (() => void)[] = [];
    const { journal } = await open({ fileSystem: spyOn({ sync: (run) => void syncs.push(run) }) });
    await appended(journal, "one");
    assert.equal(syncs.length, 0);
    const flushed = journal.flush();
    await turn();
    assert.equal(syncs.length, 1);
    await appended(journal, "two");
    assert.equal(syncs.length, 1, "one sync at a time");
    syncs.shift()?.();
    await flushed;
    const closed = journal.close();
    await turn();
    syncs.shift()?.();
    await closed;
  });

  it("makes callbacks wait for the disk with sync: always, sharing syncs", async () => {
    const syncs: (() => void)[] = [];
    const { journal } = await open({ sync: "always", fileSystem: spyOn({ sync: (run) => void syncs.push(run) }) });
    const called: string[] = [];
    const append = (name: string): bigint => journal.append(eventRecord, name, () => called.push(name));
    append("one");
    await turn();
    append("two");
    await turn();
    append("three");
    await turn();
    assert.deepEqual([called, syncs.length], [[], 1]);
    syncs.shift()?.();
    await until(() => syncs.length === 1);
    assert.deepEqual(called, ["one"]);
    syncs.shift()?.();
    await until(() => called.length === 3);
    assert.deepEqual(called, ["one", "two", "three"]);
  });

  it("begins new files, and removes those whose records are all confirmed", async () => {
    const { journal } = await open({ segmentBytes: 1000 });
    const sequences: bigint[] = [];
    for (let index = 0; index < 10; index += 1) {
      sequences.push(journal.append(eventRecord, "x".repeat(400)));
      await turn();
    }
    assert.equal(files().length, 5);
    for (const sequence of sequences.slice(1).toReversed()) {
      journal.confirm(sequence);
      journal.confirm(sequence);
    }
    assert.equal(files().length, 2, "the first file still has a record, the last is in use");
    assert.deepEqual([journal.pending, journal.pendingBytes], [1, 400 + frameHeaderBytes]);
    journal.confirm(sequences[0] ?? 0n);
    assert.deepEqual([files().length, journal.pending, journal.pendingBytes], [1, 0, 0]);
    await journal.close();
    assert.deepEqual(files(), []);
  });

  it("forgets a record that is confirmed before it was written", async () => {
    const { journal } = await open();
    const sequence = journal.append(openedRecord, "short");
    journal.append(openedRecord, "long");
    journal.confirm(sequence);
    await turn();
    assert.equal(journal.pending, 1);
  });

  it("removes recovered files when their records are confirmed", async () => {
    await leave(["one", "two"]);
    const { journal, recovered } = await open();
    assert.equal(journal.pending, 2);
    for (const { sequence } of recovered) {
      journal.confirm(sequence);
    }
    assert.deepEqual(files(), []);
  });

  it("tells how long the oldest record has waited", async () => {
    let now = 1_000_000;
    const { journal } = await open({ now: () => now });
    assert.equal(journal.oldestPendingAgeMs, 0);
    const first = journal.append(eventRecord, "one");
    await turn();
    now += 70;
    journal.append(eventRecord, "two");
    await turn();
    assert.equal(journal.oldestPendingAgeMs, 70);
    journal.confirm(first);
    assert.equal(journal.oldestPendingAgeMs, 0);
  });

  it("refuses new attempts before events, events at its limit, and writes nothing of what it refuses", async () => {
    const { journal } = await open({ maxBytes: 16_000, segmentBytes: 4000 });
    const kept: bigint[] = [];
    let refused: Error | undefined;
    while (refused === undefined) {
      const sequence = journal.append(openedRecord, "x".repeat(500 - frameHeaderBytes), (error) => {
        refused = error;
      });
      await turn();
      if (refused === undefined) {
        kept.push(sequence);
      }
    }
    assert.ok(refused instanceof JournalFullError);
    assert.deepEqual([kept.length, journal.full], [30, true]);
    await appended(journal, "x".repeat(500 - frameHeaderBytes));
    await appended(journal, "x".repeat(500 - frameHeaderBytes));
    await assert.rejects(appended(journal, "x".repeat(500 - frameHeaderBytes)), JournalFullError);
    const bytes = files().reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
    assert.deepEqual([bytes, journal.diskBytes], [16_000, 16_000]);
    for (const sequence of kept) {
      journal.confirm(sequence);
    }
    assert.equal(journal.full, false);
    await appended(journal, "room again");
  });

  it("refuses a record larger than the bus accepts, and goes on", async () => {
    const { journal } = await open();
    await assert.rejects(appended(journal, "x".repeat(1024 * 1024 + 1)), RangeError);
    await assert.rejects(appended(journal, Buffer.alloc(5 * 1024 * 1024)), RangeError);
    await appended(journal, "x".repeat(1024 * 1024));
    await journal.close();
    assert.equal((await recoveredTexts()).texts.length, 1);
  });

  it("moves the records of slow attempts out of old files, so that they do not fill the disk", async () => {
    const { journal } = await open({ maxBytes: 40_000, segmentBytes: 4000 });
    const slow: bigint[] = [];
    for (let round = 0; round < 300; round += 1) {
      if (round % 30 === 0) {
        slow.push(journal.append(openedRecord, `slow ${round}`));
      }
      const sequence = journal.append(eventRecord, "x".repeat(500), (error) => assert.equal(error, undefined));
      await turn();
      journal.confirm(sequence);
      if (round % 8 === 0) {
        await journal.flush();
      }
    }
    assert.ok(journal.diskBytes < 30_000, `${journal.diskBytes} bytes`);
    assert.equal(journal.pending, slow.length);
    await journal.close();
    const second = await open();
    const texts = new Map(second.recovered.map(({ sequence, payload }) => [sequence, payload.toString()]));
    slow.forEach((sequence, index) => assert.equal(texts.get(sequence), `slow ${index * 30}`));
    for (const { sequence } of second.recovered) {
      second.journal.confirm(sequence);
    }
    assert.deepEqual(files(), []);
  });

  for (const code of ["ENOSPC", "EIO"]) {
    it(`reports ${code}, leaves no part of a frame, and goes on when the disk does`, async () => {
      let broken = false;
      const { journal } = await open({ fileSystem: failingWrites(() => broken, code) });
      await appended(journal, "before");
      broken = true;
      await assert.rejects(appended(journal, "lost"), { code });
      assert.equal(journal.pending, 1);
      assert.equal(statSync(onlyFile()).size, "before".length + frameHeaderBytes);
      broken = false;
      await appended(journal, "after");
      await journal.close();
      assert.deepEqual(await recoveredTexts(), { texts: ["before", "after"], damaged: 0 });
    });
  }

  it("uses another file when the failed write cannot be cut back", async () => {
    let broken = false;
    const fileSystem = failingWrites(() => broken, "EIO");
    const { journal } = await open({
      fileSystem: {
        ...fileSystem,
        truncate: () => {
          throw new Error("no");
        },
      },
    });
    await appended(journal, "before");
    broken = true;
    await assert.rejects(appended(journal, "lost"));
    broken = false;
    await appended(journal, "after");
    await journal.close();
    assert.deepEqual(await recoveredTexts(), { texts: ["before", "after"], damaged: 1 });
  });

  it("reports a failed sync, and writes elsewhere afterwards", async () => {
    const errors: Error[] = [];
    let failures = 1;
    const { journal } = await open({
      onError: (error) => errors.push(error),
      fileSystem: {
        ...realFileSystem,
        sync: (fd, done) => {
          failures -= 1;
          if (failures >= 0) {
            done(new Error("the disk is gone"));
          } else {
            realFileSystem.sync(fd, done);
          }
        },
      },
    });
    await appended(journal, "one");
    await assert.rejects(journal.flush(), /the disk is gone/);
    assert.equal(errors.length, 1);
    await appended(journal, "two");
    assert.equal(files().length, 2);
  });

  it("survives a callback that throws", async () => {
    const errors: Error[] = [];
    const { journal } = await open({ onError: (error) => errors.push(error) });
    journal.append(eventRecord, "one", () => {
      throw new Error("a caller's mistake");
    });
    await appended(journal, "two");
    assert.equal(errors[0]?.message, "a caller's mistake");
  });

  it("reads what has waited for long, in pages, also what was moved or recovered", async () => {
    let now = 1_000_000;
    const { journal } = await open({ now: () => now });
    const first = journal.append(eventRecord, "one");
    journal.append(openedRecord, "an attempt");
    const second = journal.append(eventRecord, "two");
    await turn();
    now += 60_000;
    const third = journal.append(eventRecord, "three");
    await turn();
    const read = (query: { limit: number; after?: bigint }): string[] =>
      journal
        .readPending({ kind: eventRecord, olderThanMs: 60_000, ...query })
        .map(({ sequence, payload }) => `${sequence} ${payload.toString()}`);
    assert.deepEqual(read({ limit: 10 }), [`${first} one`, `${second} two`]);
    assert.deepEqual(read({ limit: 1 }), [`${first} one`]);
    assert.deepEqual(read({ limit: 1, after: first }), [`${second} two`]);
    journal.confirm(first);
    now += 60_000;
    assert.deepEqual(read({ limit: 10 }), [`${second} two`, `${third} three`]);
  });

  it("belongs to one process at a time", async () => {
    const { journal } = await open();
    await assert.rejects(open(), DirectoryLockedError);
    await journal.close();
    await open();
  });

  it("refuses records once it is closed", async () => {
    const { journal } = await open();
    await journal.close();
    await journal.close();
    await assert.rejects(appended(journal, "late"), JournalClosedError);
  });
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await turn();
  }
}

function appended(journal: Journal, payload: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    journal.append(eventRecord, payload, (error) => (error === undefined ? resolve() : reject(error)));
  });
}

function spyOn(spy: { write?: (length: number) => void; sync?: (run: () => void) => void }): JournalFileSystem {
  return {
    ...realFileSystem,
    write(fd, buffer, offset, length, position) {
      spy.write?.(length);
      return realFileSystem.write(fd, buffer, offset, length, position);
    },
    sync(fd, done) {
      const run = (): void => realFileSystem.sync(fd, done);
      if (spy.sync === undefined) {
        run();
      } else {
        spy.sync(run);
      }
    },
  };
}

/** Writes half of what it is given and then fails, as a full disk does. */
function failingWrites(isBroken: () => boolean, code: string): JournalFileSystem {
  let wroteHalf = false;
  return {
    ...realFileSystem,
    write(fd, buffer, offset, length, position) {
      if (!isBroken()) {
        return realFileSystem.write(fd, buffer, offset, length, position);
      }
      wroteHalf = !wroteHalf;
      if (wroteHalf) {
        return realFileSystem.write(fd, buffer, offset, Math.floor(length / 2), position);
      }
      throw Object.assign(new Error("write failed"), { code });
    },
  };
}
