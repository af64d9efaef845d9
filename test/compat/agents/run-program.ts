import { spawn } from "node:child_process";

/** How a program is run. */
export interface ProgramRun {
  readonly command: string;
  readonly arguments: readonly string[];
  /** The whole environment: nothing is inherited but the search path. */
  readonly env?: Readonly<Record<string, string>>;
  readonly directory?: string;
  /** After these many milliseconds it is killed. */
  readonly timeoutMs: number;
}

/** What came of it. */
export interface ProgramResult {
  /** Null when it was killed or never began. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const longestOutput = 4 * 1024 * 1024;

/** Runs a program to its end. Never rejects: what cannot be started has an exit code of null and says why in `stderr`. */
export function runProgram(run: ProgramRun): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const { PATH = "" } = process.env;
    const child = spawn(run.command, run.arguments, {
      env: { PATH, ...run.env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what it starts ends with it.
      detached: true,
      ...(run.directory === undefined ? {} : { cwd: run.directory }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout = (stdout + text).slice(-longestOutput);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-longestOutput);
    });
    const timer = setTimeout(() => {
      if (child.pid !== undefined) {
        stderr += `\nkilled after ${run.timeoutMs} ms`;
        process.kill(-child.pid, "SIGKILL");
      }
    }, run.timeoutMs);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ exitCode: null, stdout, stderr: `${stderr}\n${error.message}` });
    });
    child.on("close", (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, stdout, stderr });
    });
  });
}
