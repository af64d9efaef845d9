import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, it } from "node:test";
import { frameHeaderBytes } from "./frame.ts";
import { eventRecord, type Journal } from "./journal.ts";
import { type JournalOptions, type OpenedJournal, openJournal } from "./open-journal.ts";

describe("recovery of a journal", () => {
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

  it("recovers every whole record of a file cut at any byte", async () => {
    await leave(["first record", "second", "the third one"]);
    const name = onlyFile();
    const whole = readFileSync(name);
    const ends = [12, 6, 13].reduce<number[]>((sums, n) => [...sums, (sums.at(-1) ?? 0) + n + frameHeaderBytes], []);
    assert.equal(ends.at(-1), whole.length);
    for (let cut = 0; cut <= whole.length; cut += 1) {
      writeFileSync(name, whole.subarray(0, cut));
      const { texts, damaged } = await recoveredTexts();
      assert.equal(texts.length, ends.filter((end) => end <= cut).length, `cut at ${cut}`);
      assert.equal(damaged, cut === 0 || ends.includes(cut) ? 0 : 1, `cut at ${cut}`);
      if (texts.length > 0) {
        assert.deepEqual(await recoveredTexts(), { texts, damaged: 0 }, "the tail was cut off");
      }
    }
  });

  it("loses only the record in which a bit flipped, wherever that is", async () => {
    const payloads = ["first record", "second", "the third one", "and a fourth"];
    await leave(payloads);
    const name = onlyFile();
    const whole = readFileSync(name);
    let start = 0;
    for (const [index, payload] of payloads.entries()) {
      const end = start + payload.length + frameHeaderBytes;
      for (let at = start; at < end; at += 1) {
        const flipped = Buffer.from(whole);
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
        writeFileSync(name, flipped);
        const expected = payloads.filter((_, other) => other !== index);
        assert.deepEqual(await recoveredTexts(), { texts: expected, damaged: 1 }, `byte ${at}`);
      }
      start = end;
    }
  });

  it("is not led astray by payloads that look like frames", async () => {
    await leave(["inner"]);
    const frame = readFileSync(onlyFile());
    rmSync(onlyFile());
    await leave([frame.subarray(0, -1), "next"]);
    assert.deepEqual((await recoveredTexts()).texts.at(-1), "next");
  });

  it("has every record whose callback came when its process is killed while it writes", async () => {
    const module = new URL("./open-journal.ts", import.meta.url).href;
    const script = `
      import { writeSync } from "node:fs";
      import { openJournal } from ${JSON.stringify(module)};
      const { journal } = await openJournal({ directory: ${JSON.stringify(directory)}, segmentBytes: 100_000 });
      const step = () => {
        for (let index = 0; index < 5; index += 1) {
          const sequence = journal.append(2, "x".repeat(300), () => writeSync(1, sequence + "\\n"));
        }
        setImmediate(step);
      };
      step();`;
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const acknowledged: bigint[] = [];
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => {
      acknowledged.push(BigInt(line));
      if (acknowledged.length === 2000) {
        child.kill("SIGKILL");
      }
    });
    await Promise.all([once(child, "exit"), once(lines, "close")]);
    // The last line may be cut in the pipe, never in the journal.
    const sure = acknowledged.slice(0, -1);
    const { recovered } = await open();
    const found = new Set(recovered.map(({ sequence }) => sequence));
    assert.ok(sure.length >= 1999);
    assert.deepEqual(
      sure.filter((sequence) => !found.has(sequence)),
      [],
    );
    assert.ok(recovered.every(({ payload }) => payload.length === 300));
  });
});
