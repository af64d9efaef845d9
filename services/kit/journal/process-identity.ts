import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/**
 * What tells a running process from a later one with the same pid: when it was started, as the kernel writes it.
 *
 * Undefined when no process with that pid runs, or when it is a zombie.
 */
export function startTimeOf(pid: number): string | undefined {
  if (existsSync("/proc/self/stat")) {
    return startTimeFromProc(pid);
  }
  const ps = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
  const text = ps.status === 0 ? ps.stdout.trim() : "";
  return text === "" ? undefined : text;
}

function startTimeFromProc(pid: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (isGone(error)) {
      return undefined;
    }
    throw error;
  }
  // The second field is the command in brackets and may itself hold spaces and brackets, so count from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ESRCH";
}
