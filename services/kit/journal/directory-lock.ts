import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTimeOf } from "./process-identity.ts";

/** Thrown when another live process uses the directory. */
export class DirectoryLockedError extends Error {
  override readonly name = "DirectoryLockedError";
  /** The pid of the process that holds the lock. */
  readonly pid: number;

  constructor(directory: string, pid: number) {
    super(`${directory} is in use by process ${pid}; stop it, or choose another storage directory`);
    this.pid = pid;
  }
}

/** A directory that is ours until `release`. */
export interface DirectoryLock {
  /** Gives the directory up. May be called more than once. */
  release(): void;
}

interface Owner {
  readonly pid: number;
  readonly startTime: string;
}

/**
 * Takes a directory for this process, by a file that names the process by pid and start time.
 *
 * A lock left by a process that died is taken over, also when its pid has been given to another program since.
 * Throws DirectoryLockedError when a live process, this one included, holds it.
 */
export function lockDirectory(directory: string, fileName = "lock"): DirectoryLock {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, fileName);
  const mine = `${JSON.stringify({ pid: process.pid, startTime: startTimeOf(process.pid) ?? "", id: randomUUID() })}\n`;
  const draft = join(directory, `.${fileName}.${randomUUID()}`);
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    // Linking a finished file is what makes taking the lock one step: nobody ever reads a half-written owner.
    for (let tries = 0; !tryLink(draft, path); tries += 1) {
      const found = readLock(path);
      const owner = found === undefined ? undefined : parseOwner(found);
      if (owner !== undefined && isAlive(owner)) {
        throw new DirectoryLockedError(directory, owner.pid);
      }
      if (tries >= 10) {
        throw new Error(`could not lock ${directory}: the lock file keeps changing`);
      }
      if (found !== undefined) {
        removeStale(path, found);
      }
    }
  } finally {
    rmSync(draft, { force: true });
  }
  let held = true;
  return {
    release() {
      if (held) {
        held = false;
        if (readLock(path) === mine) {
          rmSync(path, { force: true });
        }
      }
    },
  };
}

function removeStale(path: string, stale: string): void {
  const aside = `${path}.${randomUUID()}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") {
      return;
    }
    throw error;
  }
  // Another process may have replaced the stale lock between our read and our rename: then give its lock back.
  if (readLock(aside) !== stale) {
    tryLink(aside, path);
  }
  rmSync(aside, { force: true });
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      return false;
    }
    throw error;
  }
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A lock file is linked complete, so one that does not parse was cut by a power failure: its owner is dead.
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("pid" in value) || !("startTime" in value)) {
    return undefined;
  }
  const { pid, startTime } = value;
  return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
}

function isAlive(owner: Owner): boolean {
  return startTimeOf(owner.pid) === owner.startTime;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
