import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listRecordings, type RecordingRow, readRecordingsOf } from "../harness/recordings.ts";
import { wireDoors } from "../wire/doors.ts";
import { compareParallel } from "../wire/parallel.ts";
import { playOperations } from "../wire/play-operations.ts";
import { playRecordings } from "../wire/play-recordings.ts";
import { targetName, targetOf } from "../wire/wire-targets.ts";
import { writeFailures } from "../wire/write-report.ts";

// The whole of it is `npm run wire`.

/** So many of each provider are played: one of each kind of answer that it has, as far as they go. */
const mostOfProvider = 3;

const rows = listRecordings();

if (rows === undefined) {
  test("answers recorded at providers come out of every door", { skip: "recordings not found" }, () => undefined);
} else {
  describe("answers recorded at providers", () => {
    test("come out of every door as they were recorded", async () => {
      const results = await playRecordings(readRecordingsOf(choose(rows)), wireDoors);
      assert.ok(results.length > 0);
      assert.equal(writeFailures(results), "");
    });

    test("of other operations pass through the door of their own dialect", async () => {
      const results = await playOperations(rows);
      assert.ok(results.length > 0);
      assert.equal(writeFailures(results), "");
    });

    test("were asked for by requests like those that translation makes", () => {
      assert.equal(writeFailures(compareParallel()), "");
    });
  });
}

function choose(all: readonly RecordingRow[]): readonly RecordingRow[] {
  const playable = all.filter((row) => targetOf(row) !== undefined);
  return [...Map.groupBy(playable, targetName).values()].flatMap((rowsOfOne) => {
    const byKind = [...Map.groupBy(rowsOfOne, (row) => row.kind).values()];
    return byKind.flatMap((kind) => kind.slice(0, Math.floor(mostOfProvider / byKind.length)));
  });
}
