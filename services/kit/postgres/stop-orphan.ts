import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startTimeOf } from "../journal/process-identity.ts";

/**
 * Clears the way for a server in a data directory after its last owner was killed.
 *
 * Killing our process leaves its server running; that one is shut down, after checking that the pid in its file is
 * really a server of this directory. A pid file that names no such server is removed: Postgres would refuse to start
 * when the pid has been given to another program. The caller holds the directory, so no live owner exists.
 */
export async function stopOrphan(dataDirectory: string): Promise<void> {
  const pidFile = join(dataDirectory, "postmaster.pid");
  const pid = readPid(pidFile);
  if (pid === undefined) {
    return;
  }
  if (isServerOf(pid, dataDirectory)) {
    await endServer(pid);
  }
  rmSync(pidFile, { force: true });
}

async function endServer(pid: number): Promise<void> {
  const startTime = startTimeOf(pid);
  // SIGINT is a fast shutdown, SIGQUIT an immediate one that leaves recovery to the next start.
  for (const { signal, waitMs } of [
    { signal: "SIGINT", waitMs: 15_000 },
    { signal: "SIGQUIT", waitMs: 10_000 },
  ] as const) {
    if (!signalProcess(pid, signal)) {
      return;
    }
    for (let waitedMs = 0; waitedMs < waitMs; waitedMs += 20) {
      if (startTimeOf(pid) !== startTime) {
        return;
      }
      await delay(20);
    }
  }
  throw new Error(`the Postgres server with pid ${pid}, left by an earlier run, does not stop`);
}

/** False when the process is gone. */
function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") {
      return false;
    }
    throw error;
  }
}

function isServerOf(pid: number, dataDirectory: string): boolean {
  if (startTimeOf(pid) === undefined) {
    return false;
  }
  if (existsSync("/proc/self/cwd")) {
    try {
      // The server changes to its data directory before it writes its pid file.
      return (
        readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDirectory) &&
        readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("postgres")
      );
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "EACCES") {
        return false;
      }
      throw error;
    }
  }
  const command = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout;
  return command.includes("postgres") && command.includes(dataDirectory);
}

function readPid(pidFile: string): number | undefined {
  let text: string;
  try {
    text = readFileSync(pidFile, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") {
      return undefined;
    }
    throw error;
  }
  const pid = Number.parseInt(text, 10);
  // Anything below 2 would make kill() address a group of processes, or init.
  return pid > 1 ? pid : 0;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
