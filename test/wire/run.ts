import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { listRecordings, type RecordingRow, readRecordingsOf } from "../harness/recordings.ts";
import { cutsColumn, cutStreams } from "./cuts.ts";
import { wireDoors } from "./doors.ts";
import { bedrockColumn, compareParallel } from "./parallel.ts";
import { operationsColumn, playOperations } from "./play-operations.ts";
import { playRecordings, type WireResult } from "./play-recordings.ts";
import { isChatApi, targetOf } from "./wire-targets.ts";
import { writeExceptions, writeFailures, writeTable } from "./write-report.ts";

// `npm run wire [-- --provider NAME] [--door NAME] [--id PART] [--json FILE] [--cuts]`: plays every recorded conversation
// through a running gateway and every door, and compares what comes out with what was recorded. With `--cuts` every
// stream is also cut at every byte. Exit code 1 when something fails that is not excepted, or nothing was chosen.

const { values } = parseArgs({
  options: {
    provider: { type: "string" },
    door: { type: "string" },
    id: { type: "string", default: "" },
    json: { type: "string" },
    cuts: { type: "boolean", default: false },
  },
});
const write = (text: string): void => void process.stdout.write(text);
const rows = listRecordings();

if (rows === undefined) {
  write("The recordings are not there: nothing to play (they belong in ../shared/wire beside the project).\n");
} else {
  const chosen = rows.filter((row) => isChosen(row.provider, row.id));
  const results = [
    ...(await playChosen(chosen.filter((row) => targetOf(row) !== undefined))),
    ...(values.door === undefined || values.door === operationsColumn ? await playOperations(chosen) : []),
  ];
  report(results, chosen);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(results, undefined, 1)}\n`);
  }
  process.exitCode = results.length === 0 || results.some((result) => result.failures.length > 0) ? 1 : 0;
}

function isChosen(provider: string, id: string): boolean {
  return (values.provider === undefined || values.provider === provider) && id.includes(values.id);
}

async function playChosen(chosen: readonly RecordingRow[]): Promise<readonly WireResult[]> {
  const recordings = readRecordingsOf(chosen);
  const doors = wireDoors.filter((door) => values.door === undefined || door.name === values.door);
  return [
    ...(recordings.length === 0 || doors.length === 0 ? [] : await playRecordings(recordings, doors)),
    ...compareParallel().filter(({ provider, id, door }) => isChosen(provider, id) && (values.door ?? door) === door),
    ...(values.cuts ? cutStreams(recordings) : []),
  ];
}

function report(results: readonly WireResult[], chosen: readonly RecordingRow[]): void {
  const played = new Set(results.map((result) => result.id));
  const left = chosen.filter((row) => !played.has(row.id));
  const failures = writeFailures(results);
  const exceptions = writeExceptions(results);
  const columns = [...wireDoors.map((door) => door.name), bedrockColumn, operationsColumn, cutsColumn];
  write(
    writeTable(
      results,
      columns.filter((column) => results.some((result) => result.door === column)),
    ),
  );
  write(`\nno provider kind yet: ${countApis(left.filter((row) => isChatApi(row.api)))}\n`);
  write(`no door yet: ${countApis(left.filter((row) => !isChatApi(row.api)))}\n`);
  write(exceptions === "" ? "" : `\nexceptions:\n${exceptions}`);
  write(failures === "" ? "" : `\nfailures:\n${failures}`);
  const failed = results.filter((result) => result.failures.length > 0).length;
  write(`\n${results.length - failed} passed, ${failed} failed\n`);
}

function countApis(left: readonly RecordingRow[]): string {
  const groups = Map.groupBy(left, (row) => `${row.provider} ${row.api}`);
  return [...groups].map(([name, all]) => `${name} (${all.length})`).join(", ") || "none";
}
