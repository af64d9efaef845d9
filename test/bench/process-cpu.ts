import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** User and system time with all threads, in clock ticks. */
  readonly ownTicks: number;
  /** The same of children that have ended and were waited for. */
  readonly childTicks: number;
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"]).toString());

/** A process and everything below it, or only what of that a filter takes, by the names of the programs. */
export function processTree(pid: number, takes: (name: string) => boolean = () => true): readonly number[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
  const found: ProcessStat[] = all.filter((stat) => stat.pid === pid);
  for (const stat of found) {
    // The list grows while it is walked: children of children follow.
    found.push(...all.filter((child) => child.parent === stat.pid));
  }
  return found.filter((stat) => takes(stat.name)).map((stat) => stat.pid);
}

/** The CPU time of processes so far in microseconds, user and system, all threads; what ended is left out. */
export function cpuMicros(pids: readonly number[]): number {
  return toMicros(pids.reduce((ticks, pid) => ticks + (readStat(pid)?.ownTicks ?? 0), 0));
}

/** As cpuMicros, with the children of the processes that have ended. Of a server with its parent process: it never falls. */
export function cpuMicrosWithEnded(pids: readonly number[]): number {
  return toMicros(
    pids.reduce((ticks, pid) => {
      const stat = readStat(pid);
      return ticks + (stat === undefined ? 0 : stat.ownTicks + stat.childTicks);
    }, 0),
  );
}

/** The resident memory of processes in bytes. */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1];
    return sum + Number(kilobytes ?? 0) * 1024;
  }, 0);
}

function toMicros(ticks: number): number {
  return (ticks * 1_000_000) / ticksPerSecond;
}

function readStat(pid: number): ProcessStat | undefined {
  const text = read(`/proc/${pid}/stat`);
  if (text === undefined) {
    return undefined;
  }
  // The name stands in parentheses and may hold anything, spaces and parentheses included.
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const at = (number: number): number => Number(fields[number - 3] ?? 0);
  return {
    pid,
    parent: at(4),
    name: text.slice(text.indexOf("(") + 1, close),
    ownTicks: at(14) + at(15),
    childTicks: at(16) + at(17),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) {
      return undefined;
    }
    throw error;
  }
}
