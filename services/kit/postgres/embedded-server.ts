import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { lockDirectory } from "../journal/directory-lock.ts";
import { type EmbeddedBinaries, findEmbeddedBinaries } from "./embedded-binaries.ts";
import { chooseServerAccount, type ServerAccount } from "./server-account.ts";
import { stopOrphan } from "./stop-orphan.ts";

/** Settings of the embedded server. */
export interface EmbeddedServerOptions {
  /** Holds the data (postgres/), the password (postgres.json, mode 0600) and a lock. */
  readonly directory: string;
  /** Gets each line the server logs. */
  readonly log?: ((line: string) => void) | undefined;
  /** False trades durability for speed, for tests. True unless given. */
  readonly durable?: boolean;
  /** False leaves the server running when this process is killed. True unless given; without setpriv it always is left. */
  readonly diesWithUs?: boolean;
}

/** A running embedded server. */
export interface EmbeddedServer {
  /** The address of its database, with user and password. */
  readonly url: string;
  /** The pid of the server. */
  readonly pid: number;
  /** Shuts down at once, ending open connections. May be called more than once. */
  close(): Promise<void>;
}

const superuser = "penstock";
const database = "penstock";

interface Credentials {
  readonly password: string;
  readonly port: number;
}

/**
 * Starts a Postgres server of our own on 127.0.0.1, making its data directory the first time.
 *
 * Stops a server that a killed process left there. Rejects with DirectoryLockedError when a live process uses the
 * directory, and with the server's last lines when it does not start.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const directory = resolve(options.directory);
  const lock = lockDirectory(directory, "postgres.lock");
  try {
    const binaries = await findEmbeddedBinaries();
    const dataDirectory = join(directory, "postgres");
    const account = chooseServerAccount([dataDirectory, binaries.postgres]);
    await stopOrphan(dataDirectory);
    const credentials = readCredentials(directory) ?? { password: randomBytes(24).toString("base64url"), port: 0 };
    if (!existsSync(dataDirectory)) {
      await initialize({ directory, dataDirectory, binaries, account, password: credentials.password, options });
    }
    const started = await startOnFreePort({ dataDirectory, binaries, account, port: credentials.port, options });
    try {
      writeCredentials(directory, { password: credentials.password, port: started.port });
      const url = `postgres://${superuser}:${encodeURIComponent(credentials.password)}@127.0.0.1:${started.port}/`;
      await ensureDatabase(`${url}postgres`);
      return {
        url: `${url}${database}`,
        pid: started.pid,
        async close() {
          await started.stop();
          lock.release();
        },
      };
    } catch (error) {
      await started.stop();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

interface InitializeOptions {
  readonly directory: string;
  readonly dataDirectory: string;
  readonly binaries: EmbeddedBinaries;
  readonly account: ServerAccount;
  readonly password: string;
  readonly options: EmbeddedServerOptions;
}

async function initialize(init: InitializeOptions): Promise<void> {
  writeCredentials(init.directory, { password: init.password, port: 0 });
  // Made aside and renamed, so that a process killed here leaves nothing that looks like a data directory.
  const draft = `${init.dataDirectory}.new`;
  rmSync(draft, { recursive: true, force: true });
  init.account.own(draft);
  const passwordFile = `${init.dataDirectory}.password`;
  init.account.writeSecret(passwordFile, `${init.password}\n`);
  const { program, args } = init.account.command(init.binaries.initdb, [
    `--pgdata=${draft}`,
    `--username=${superuser}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // The builtin provider sorts the same on every machine, whatever locales it has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    ...(init.options.durable === false ? ["--no-sync"] : []),
  ]);
  const child = spawn(program, [...args], { ...init.account.ids, stdio: ["ignore", "pipe", "pipe"], env: serverEnv() });
  const lines = collectLines(child, init.options.log);
  const code = await exitOf(child);
  rmSync(passwordFile, { force: true });
  if (code !== 0) {
    rmSync(draft, { recursive: true, force: true });
    throw new Error(`initdb failed (${code}): ${lines.join("\n")}`);
  }
  renameSync(draft, init.dataDirectory);
}

interface StartOptions {
  readonly dataDirectory: string;
  readonly binaries: EmbeddedBinaries;
  readonly account: ServerAccount;
  readonly port: number;
  readonly options: EmbeddedServerOptions;
}

interface Started {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

async function startOnFreePort(start: StartOptions): Promise<Started> {
  // Another program may take a port between our look and the server's bind, so a lost race is tried again.
  for (let attempt = 0; ; attempt += 1) {
    const port = await findFreePort(attempt === 0 ? start.port : 0);
    const result = await startOnce(start, port);
    if (result.kind === "started") {
      return result.started;
    }
    if (attempt >= 2 || !result.lines.some((line) => line.includes("Address already in use"))) {
      throw new Error(`the embedded Postgres did not start: ${result.lines.join("\n")}`);
    }
  }
}

type StartResult =
  | { readonly kind: "started"; readonly started: Started }
  | { readonly kind: "failed"; readonly lines: readonly string[] };

async function startOnce(start: StartOptions, port: number): Promise<StartResult> {
  const settings = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    // The line that says "ready" is looked for below, so the language of messages must not depend on the machine.
    lc_messages: "C",
    log_destination: "stderr",
    logging_collector: "off",
    max_connections: "200",
    ...(start.options.durable === false ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" } : {}),
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const { program, args } = start.account.command(start.binaries.postgres, ["-D", start.dataDirectory, ...flags], {
    diesWithUs: start.options.diesWithUs ?? true,
  });
  const child = spawn(program, [...args], {
    ...start.account.ids,
    stdio: ["ignore", "ignore", "pipe"],
    env: serverEnv(),
    // A group of its own: Ctrl-C in a terminal must reach us alone, so that we can drain before the database goes.
    detached: true,
  });
  const ready = Promise.withResolvers<boolean>();
  const lines = collectLines(child, (line) => {
    start.options.log?.(line);
    if (line.includes("database system is ready to accept connections")) {
      ready.resolve(true);
    }
  });
  const exit = exitOf(child);
  void exit.then(() => ready.resolve(false));
  if (!(await ready.promise) || child.pid === undefined) {
    return { kind: "failed", lines };
  }
  const pid = child.pid;
  const killOnExit = (): void => void child.kill("SIGINT");
  process.once("exit", killOnExit);
  child.unref();
  return {
    kind: "started",
    started: {
      port,
      pid,
      async stop() {
        process.off("exit", killOnExit);
        child.ref();
        child.kill("SIGINT");
        const timer = setTimeout(() => child.kill("SIGQUIT"), 20_000);
        await exit;
        clearTimeout(timer);
      },
    },
  };
}

function collectLines(child: ChildProcess, log: ((line: string) => void) | undefined): readonly string[] {
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) {
      createInterface({ input: stream }).on("line", (line) => {
        last.push(line);
        if (last.length > 20) {
          last.shift();
        }
        log?.(line);
      });
    }
  }
  return last;
}

/** The exit code, or the signal, or why the program could not be run. */
async function exitOf(child: ChildProcess): Promise<number | string> {
  try {
    const [code, signal]: unknown[] = await once(child, "close");
    return typeof code === "number" ? code : String(signal);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function findFreePort(wanted: number): Promise<number> {
  const server = createServer();
  try {
    const port = await new Promise<number | undefined>((resolvePort, reject) => {
      server.once("error", (error) => (wanted === 0 ? reject(error) : resolvePort(undefined)));
      server.listen(wanted, "127.0.0.1", () => {
        const address = server.address();
        resolvePort(typeof address === "object" && address !== null ? address.port : undefined);
      });
    });
    return port ?? (await findFreePort(0));
  } finally {
    server.close();
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [database]);
    if (found.rowCount === 0) {
      await client.query(`CREATE DATABASE ${database}`);
    }
  } finally {
    await client.end();
  }
}

function serverEnv(): NodeJS.ProcessEnv {
  // Secrets of the gateway are not the server's business.
  return { PATH: process.env["PATH"], TZ: "UTC", LC_ALL: "C" };
}

function readCredentials(directory: string): Credentials | undefined {
  const path = join(directory, "postgres.json");
  if (!existsSync(path)) {
    return undefined;
  }
  const value: unknown = JSON.parse(readFileSync(path, "utf8"));
  if (
    typeof value === "object" &&
    value !== null &&
    "password" in value &&
    "port" in value &&
    typeof value.password === "string" &&
    typeof value.port === "number"
  ) {
    return { password: value.password, port: value.port };
  }
  throw new Error(`${path} does not hold a password and a port`);
}

function writeCredentials(directory: string, credentials: Credentials): void {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "postgres.json");
  writeFileSync(`${path}.new`, `${JSON.stringify(credentials)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
