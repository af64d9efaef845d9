import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { findProgram } from "../tools/find-program.ts";

/** The core on which the gateway under test runs alone, and the one on which all else runs. */
export const cores = { gateway: 0, load: 1 } as const;

/** A child process that has said that it is ready. */
export interface PinnedProcess {
  readonly pid: number;
  /** What the ready line's group held. */
  readonly ready: string;
  /** The first value of a line `name   value` of its output so far; undefined when there was none. */
  said(name: string): string | undefined;
  /** Sends SIGTERM and resolves when it has ended. */
  stop(): Promise<void>;
}

/** What is started. */
export interface PinnedProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** Matches the line that says it is ready; group 1 is what is wanted of it. Absent: ready once started. */
  readonly readyLine?: RegExp;
}

const taskset = findProgram("taskset");

/** Whether processes can be kept on cores of their own. */
export const pinning: boolean = taskset !== undefined && availableParallelism() >= 2;

/** Keeps a process with all its threads, and what they start from now on, on one core. Does nothing without taskset. */
export function pinProcess(pid: number, core: number): void {
  if (pinning && taskset !== undefined) {
    execFileSync(`${taskset}/taskset`, ["-a", "-c", "-p", String(core), String(pid)], { stdio: "ignore" });
  }
}

/** Starts a process; resolves when it is ready, rejects with its last words when it ends before. */
export async function startPinned(options: PinnedProcessOptions): Promise<PinnedProcess> {
  const lines: string[] = [];
  const child = spawn(options.command, options.arguments, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
    env: { ...process.env, ...options.env },
  });
  const { promise: ready, resolve, reject } = Promise.withResolvers<string>();
  child.once("error", reject);
  child.once("close", () => reject(new Error(`${options.name} ended:\n${lines.slice(-20).join("\n")}`)));
  for (const output of [child.stdout, child.stderr]) {
    createInterface({ input: output }).on("line", (line) => {
      lines.push(line);
      const found = options.readyLine?.exec(line)?.[1];
      if (found !== undefined) {
        resolve(found);
      }
      if (lines.length > 200) {
        lines.splice(100, 50);
      }
    });
  }
  if (options.readyLine === undefined) {
    child.once("spawn", () => resolve(""));
  }
  const text = await ready;
  return {
    pid: child.pid ?? 0,
    ready: text,
    said: (name) =>
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.slice(name.length)
        .trim(),
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}
