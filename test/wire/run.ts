import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { listRecordings, readRecordings } from "../harness/recordings.ts";
import { wireDoors } from "./doors.ts";
import { playRecordings, type WireResult } from "./play-recordings.ts";
import { compareParallel } from "./parallel.ts";
import { isChatApi, targetOf } from "./wire-targets.ts";
import { writeExceptions, writeFailures, writeTable } from "./write-report.ts";

// `npm run wire [-- --provider NAME] [--door NAME] [--id ID] [--json FILE]`: plays every recorded conversation through a
// running gateway and every door, and compares what comes out with what was recorded. Exit code 1 when something fails.

const { values } = parseArgs({
  options: {
    provider: { type: "string" },
    door: { type: "string" },
    id: { type: "string" },
    json: { type: "string" },
  },
});
const write = (text: string): void => void process.stdout.write(text);
const rows = listRecordings();

if (rows === undefined) {
  write("The recordings are not there: nothing to play (they belong in ../shared/wire beside the project).\n");
} else {
  const chosen = rows.filter(
    (row) =>
      (values.provider === undefined || row.provider === values.provider) &&
      (values.id === undefined || row.id.includes(values.id)),
  );
  const apis = [...new Set(chosen.map((row) => `${row.provider}/${row.api}`))];
  const ids = new Set(chosen.filter((row) => targetOf(row) !== undefined).map((row) => row.id));
  const recordings = (readRecordings(apis) ?? []).filter((recording) => ids.has(recording.id));
  const doors = wireDoors.filter((door) => values.door === undefined || door.name === values.door);
  const results = [
    ...(recordings.length === 0 ? [] : await playRecordings(recordings, doors)),
    ...compareParallel().filter(
      ({ id, door }) =>
        values.provider === undefined && id.includes(values.id ?? "") && doors.some(({ name }) => name === door),
    ),
  ];
  report(
    results,
    doors.map((door) => door.name),
    chosen,
  );
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`);
  }
  process.exitCode = results.some((result) => result.failures.length > 0) ? 1 : 0;
}

function report(
  results: readonly WireResult[],
  doors: readonly string[],
  chosen: readonly { readonly provider: string; readonly api: string; readonly id: string }[],
): void {
  const played = new Set(results.map((result) => result.id));
  const left = chosen.filter((row) => !played.has(row.id));
  const failures = writeFailures(results);
  const exceptions = writeExceptions(results);
  write(writeTable(results, doors));
  write(`\nno provider kind yet: ${countApis(left.filter((row) => isChatApi(row.api)))}\n`);
  write(`not conversations: ${countApis(left.filter((row) => !isChatApi(row.api)))}\n`);
  write(exceptions === "" ? "" : `\nexceptions:\n${exceptions}`);
  write(failures === "" ? "" : `\nfailures:\n${failures}`);
  const failed = results.filter((result) => result.failures.length > 0).length;
  write(`\n${results.length - failed} passed, ${failed} failed\n`);
}

function countApis(left: readonly { readonly provider: string; readonly api: string }[]): string {
  const groups = Map.groupBy(left, (row) => `${row.provider} ${row.api}`);
  return [...groups].map(([name, all]) => `${name} (${all.length})`).join(", ") || "none";
}
