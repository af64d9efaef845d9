import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

// `node show-profile.ts FILE [COUNT]`: the functions of a CPU profile that took most time themselves, and the files.

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

/** What V8 writes, as far as it is read here. */
interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const [, , file = "", count = "25"] = process.argv;
// A file of another format shows as an empty table.
const profile = JSON.parse(readFileSync(file, "utf8")) as CpuProfile;
const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
const byFunction = new Map<string, number>();
const byFile = new Map<string, number>();
let busy = 0;
for (const [index, id] of profile.samples.entries()) {
  const frame = nodes.get(id)?.callFrame;
  const micros = profile.timeDeltas[index] ?? 0;
  if (frame === undefined || frame.functionName === "(idle)") {
    continue;
  }
  busy += micros;
  const place = placeOf(frame.url);
  const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
  add(byFunction, place === "" ? name : `${name}  ${place}:${frame.lineNumber + 1}`, micros);
  add(byFile, place === "" ? name : place, micros);
}
show(byFunction);
process.stdout.write("\n");
show(byFile);

function add(sums: Map<string, number>, name: string, micros: number): void {
  sums.set(name, (sums.get(name) ?? 0) + micros);
}

function show(sums: ReadonlyMap<string, number>): void {
  const largest = [...sums].toSorted(([, a], [, b]) => b - a).slice(0, Number(count));
  for (const [name, micros] of largest) {
    process.stdout.write(`${((micros * 100) / busy).toFixed(1).padStart(5)} %  ${name}\n`);
  }
}

function placeOf(url: string): string {
  return url.startsWith("file:") ? relative(root, fileURLToPath(url)).replace(/^(\.\.\/)+/, "/") : url;
}
