import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../tools/find-program.ts";
import { type BenchGateway, benchRequest } from "./bench-gateway.ts";
import type { LoadResult } from "./load.ts";

/** What the script prints at the end of a run. Latencies are microseconds. */
interface WrkReport {
  readonly completed: number;
  readonly micros: number;
  readonly notOk: number;
  readonly broken: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

const folder = findProgram("wrk");
const run = promisify(execFile);
const marker = "bench-report ";

/** Whether wrk is installed. */
export const wrkInstalled: boolean = folder !== undefined;

/** Loads a gateway with wrk: so many connections, each of which sends its next request when it has its answer. */
export async function runWrk(
  gateway: BenchGateway,
  options: { readonly connections: number; readonly seconds: number; readonly directory: string },
): Promise<LoadResult> {
  const request = benchRequest(gateway, { kind: "whole" });
  const script = join(options.directory, `wrk-${gateway.name.replaceAll(/\W+/g, "-")}.lua`);
  writeFileSync(script, luaScript(request.headers, request.body));
  const { stdout } = await run(join(folder ?? "", "wrk"), [
    "-t1",
    `-c${options.connections}`,
    `-d${Math.max(1, Math.round(options.seconds))}s`,
    "-s",
    script,
    `http://127.0.0.1:${gateway.port}${request.path}`,
  ]);
  const line = stdout.split("\n").find((each) => each.startsWith(marker));
  if (line === undefined) {
    throw new Error(`wrk said nothing of use:\n${stdout}`);
  }
  // The script below wrote exactly this.
  const report = JSON.parse(line.slice(marker.length)) as WrkReport;
  return {
    completed: report.completed,
    failed: report.notOk + report.broken,
    // wrk closes its connections when its time is up, answered or not.
    cut: options.connections,
    chunks: 0,
    seconds: report.micros / 1_000_000,
    latency: { p50: report.p50 / 1_000, p99: report.p99 / 1_000, p999: report.p999 / 1_000 },
  };
}

function luaScript(headers: Readonly<Record<string, string>>, body: string): string {
  const fields = Object.entries(headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}\n`);
  return `wrk.method = "POST"
wrk.body = ${lua(body)}
${fields.join("")}
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format('${marker}{"completed":%d,"micros":%d,"notOk":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d}',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`;
}

/** A text as a Lua string; JSON's escapes of what requests hold are Lua's too. */
function lua(text: string): string {
  return JSON.stringify(text);
}
