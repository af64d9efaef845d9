import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** One process of the program. */
export interface GatewayProcess {
  readonly name: string;
  /** The pid of the process as it runs now, or last ran. */
  readonly pid: number;
  readonly running: boolean;
  /** What the last run ended with; undefined while it runs. A signal's name when a signal ended it. */
  readonly exit: number | NodeJS.Signals | undefined;
  /** The public address; empty when it has none. */
  readonly url: string;
  /** The address for other processes; empty when it has none. */
  readonly meshUrl: string;
  /** The last lines that it wrote to its standard error, over all its runs. */
  readonly stderr: readonly string[];
  /** Sends a signal; resolves when the process has ended, or at once for SIGSTOP, SIGCONT and SIGHUP. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again where it was, with the same arguments and on the same addresses; ends it first if it runs. */
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** The first line of standard error, of those so far and to come, that contains a text. */
  waitForLog(text: string): Promise<string>;
}

/** What is run. */
export interface GatewayProcessOptions {
  readonly name: string;
  /** What follows `penstock start`, without addresses to listen on. */
  readonly arguments: readonly string[];
  readonly listens: "public" | "mesh";
  readonly env: Readonly<Record<string, string>>;
}

const main = fileURLToPath(new URL("../../services/main.ts", import.meta.url));
/** Half of what a start costs is compiling, and a run of tests starts the same program dozens of times. */
const compileCache = join(tmpdir(), "penstock-test-compile-cache");
const keptLines = 400;
const living = new Set<ChildProcess>();
const goesOn: ReadonlySet<string> = new Set(["SIGSTOP", "SIGCONT", "SIGHUP", "SIGUSR1", "SIGUSR2"]);

function killLiving(): void {
  for (const child of living) {
    child.kill("SIGKILL");
  }
}
process.on("exit", killLiving);
process.once("SIGTERM", () => process.exit(143));

/** Starts a process; resolves once it has printed its addresses. Rejects with its last lines when it ends before. */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const stderr: string[] = [];
  const watchers = new Set<(line: string) => void>();
  let address = "127.0.0.1:0";
  let child = await run();

  async function run(): Promise<ChildProcess> {
    const listen = [options.listens === "public" ? "--listen" : "--mesh-listen", address];
    const started = spawn(process.execPath, [main, "start", ...options.arguments, ...listen], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...ownEnvironment(), NODE_COMPILE_CACHE: compileCache, ...options.env },
    });
    living.add(started);
    started.once("exit", () => living.delete(started));
    createInterface({ input: started.stderr }).on("line", (line) => {
      stderr.push(line);
      if (stderr.length > keptLines) {
        stderr.shift();
      }
      for (const watcher of watchers) {
        watcher(line);
      }
    });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    createInterface({ input: started.stdout }).on("line", (line) => {
      const [, kind, found] = /^(url|mesh) +http:\/\/(\S+)$/.exec(line) ?? [];
      if (found !== undefined && kind === (options.listens === "public" ? "url" : "mesh")) {
        resolve(found);
      }
    });
    // "close" comes after the last line, unlike "exit".
    started.once("close", () =>
      reject(new Error(`${options.name} ended at its start:\n${stderr.slice(-20).join("\n")}`)),
    );
    started.once("error", reject);
    address = await promise;
    return started;
  }

  async function kill(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const exited = goesOn.has(signal) ? Promise.resolve() : once(child, "exit");
    child.kill(signal);
    await exited;
  }

  return {
    name: options.name,
    get pid() {
      return child.pid ?? 0;
    },
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    get exit() {
      return child.exitCode ?? child.signalCode ?? undefined;
    },
    get url() {
      return options.listens === "public" ? `http://${address}` : "";
    },
    get meshUrl() {
      return options.listens === "mesh" ? `http://${address}` : "";
    },
    stderr,
    kill,
    async restart(signal = "SIGTERM") {
      await kill(signal);
      child = await run();
    },
    waitForLog(text) {
      const known = stderr.find((line) => line.includes(text));
      return known !== undefined
        ? Promise.resolve(known)
        : new Promise((resolve) => {
            const watcher = (line: string): void => {
              if (line.includes(text)) {
                watchers.delete(watcher);
                resolve(line);
              }
            };
            watchers.add(watcher);
          });
    },
  };
}

/** The environment without what would change the program: keys of real providers, and settings of the test runner. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(PENSTOCK_|NODE_|DATABASE_URL|NATS_URL|(OPENAI|ANTHROPIC|GEMINI)_)/.test(name)) {
      kept[name] = value;
    }
  }
  return kept;
}
