import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

/** A nats-server with JetStream for tests. */
export interface TestNats {
  /** nats://127.0.0.1:port, the same after a restart. */
  readonly url: string;
  /** The pid of the server as it runs now; 0 for a shared one. */
  readonly pid: number;
  /** Sends a signal; resolves once the server has ended, for those that end it. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Ends the server if it runs, and starts it again on the same port and store. */
  restart(options?: { readonly wipe?: boolean }): Promise<void>;
  /** Ends the server and removes its store. */
  close(): Promise<void>;
}

/** Settings of a test server. */
export interface TestNatsOptions {
  /** Takes the server that PENSTOCK_TEST_NATS_URL names, if it is set: for tests that leave it running. */
  readonly shared?: boolean;
}

/** Starts a nats-server on a free port of 127.0.0.1. Rejects, saying what to install, when there is none. */
export async function startTestNats(options: TestNatsOptions = {}): Promise<TestNats> {
  const shared = process.env["PENSTOCK_TEST_NATS_URL"];
  if (options.shared === true && shared !== undefined && shared !== "") {
    const refuse = (): Promise<void> => Promise.reject(new Error("this NATS server is shared with other tests"));
    return { url: shared, pid: 0, kill: refuse, restart: refuse, close: () => Promise.resolve() };
  }
  const program = findProgram();
  const directory = mkdtempSync(join(tmpdir(), "penstock-test-nats-"));
  const port = await findFreePort();
  const store = join(directory, "store");
  const config = join(directory, "nats.conf");
  // What was acknowledged must survive kill -9 of the machine too; servers before 2.10 do not know the setting.
  const sync = supportsSyncInterval(program) ? "sync_interval: always, " : "";
  writeFileSync(config, `listen: "127.0.0.1:${port}"\njetstream { ${sync}store_dir: ${JSON.stringify(store)} }\n`);
  let server = await run(program, config);

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (server.exitCode === null && server.signalCode === null) {
      const exited = once(server, "exit");
      // A stopped process only ends once it goes on.
      server.kill(signal);
      server.kill("SIGCONT");
      await exited;
    }
  }

  return {
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return server.pid ?? 0;
    },
    async kill(signal) {
      if (signal === "SIGSTOP" || signal === "SIGCONT") {
        server.kill(signal);
        await settled(server.pid ?? 0, signal === "SIGSTOP");
      } else {
        await end(signal);
      }
    },
    async restart({ wipe = false } = {}) {
      await end("SIGTERM");
      if (wipe) {
        rmSync(store, { recursive: true, force: true });
      }
      server = await run(program, config);
    },
    async close() {
      await end("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves once a process really stands still, or really goes on: the signal takes effect a little later. */
async function settled(pid: number, isStopped: boolean): Promise<void> {
  while (existsSync(`/proc/${pid}/stat`)) {
    const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
    if ((state === "T") === isStopped) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function findProgram(): string {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  const found = folders.map((folder) => join(folder, "nats-server")).find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error("nats-server is not installed: apt-get install nats-server");
  }
  return found;
}

function supportsSyncInterval(program: string): boolean {
  const text = execFileSync(program, ["--version"], { encoding: "utf8" });
  const [, major, minor] = /v(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 10);
}

async function run(program: string, config: string): Promise<ChildProcess> {
  const child = spawn(program, ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  const killOnExit = (): void => void child.kill("SIGKILL");
  process.once("exit", killOnExit);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const last: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    last.push(line);
    if (last.length > 10) {
      last.shift();
    }
    if (line.includes("Server is ready")) {
      resolve();
    }
  });
  child.once("exit", () => {
    process.off("exit", killOnExit);
    reject(new Error(`nats-server did not start: ${last.join("\n")}`));
  });
  child.once("error", reject);
  await promise;
  return child;
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
