import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { openPostgres } from "#kit/postgres/open-postgres.ts";
import { liveUntilStopped } from "./live-until-stopped.ts";
import { configPath, readConfig } from "./read-config.ts";

/** What `penstock mesh` was asked to do. */
export interface MeshOptions {
  readonly config?: string | undefined;
  readonly listen?: string | undefined;
  readonly directory?: string | undefined;
}

interface ServiceProcess {
  readonly name: string;
  readonly arguments: readonly string[];
}

const main = fileURLToPath(new URL("../main.ts", import.meta.url));

/**
 * Runs every service as a process of its own, and one connector process for each provider, over a real nats-server and
 * Postgres, to see on one machine what a cluster does. A process that dies is not started again: what its death does
 * to the others is what there is to see. Resolves with the exit code when it is told to stop.
 */
export async function mesh(options: MeshOptions): Promise<number> {
  const path = configPath(options.config, process.env);
  const config = readConfig(path, { listen: options.listen, directory: options.directory }, process.env);
  const directory = resolve(config.storage.directory, "mesh");
  mkdirSync(directory, { recursive: true });
  const stop = liveUntilStopped();
  const postgres = await openPostgres({ database: config.storage.database, directory });
  const children: ChildProcess[] = [];
  try {
    const bus = config.storage.bus === "embedded" ? await startNats(directory, children) : config.storage.bus;
    const processes = await plan(Object.keys(config.providers), directory, config.server.listen);
    const shared = [...(path === undefined ? [] : ["--config", path]), "--database", postgres.url, "--bus", bus];
    for (const { name, arguments: own } of processes) {
      const child = spawn(process.execPath, [main, "start", ...own, ...shared], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      print(name, `pid ${child.pid ?? "unknown"}`);
      child.stdout?.on("data", (text: Buffer) => print(name, text.toString().trimEnd()));
      child.on("exit", (code, signal) => print(name, `ended (${signal ?? `code ${code ?? "unknown"}`})`));
    }
    await stop;
  } finally {
    // The ingress first: it drains into the others.
    for (const child of children.toReversed()) {
      await terminate(child);
    }
    await postgres.close();
  }
  return 0;
}

/** The processes in the order in which they are started: the ingress last, so that it is stopped first. */
async function plan(
  providers: readonly string[],
  directory: string,
  listen: string,
): Promise<readonly ServiceProcess[]> {
  const addresses = new Map<string, string>();
  for (const name of [
    "quota",
    "cache",
    "accounting",
    "router",
    ...providers.map((provider) => `connector.${provider}`),
  ]) {
    addresses.set(name, `127.0.0.1:${await freePort()}`);
  }
  const peers = [...addresses].flatMap(([name, address]) => ["--peer", `${name}=http://${address}`]);
  const common = (name: string): string[] => [
    "--mesh-listen",
    addresses.get(name) ?? "",
    "--directory",
    join(directory, name),
    ...peers,
  ];
  return [
    ...["accounting", "quota", "cache"].map((name) => ({ name, arguments: [name, ...common(name)] })),
    ...providers.map((provider) => ({
      name: `connector.${provider}`,
      arguments: ["connector", "--provider", provider, ...common(`connector.${provider}`)],
    })),
    { name: "router", arguments: ["router", ...common("router")] },
    {
      name: "ingress",
      arguments: ["ingress", "--listen", listen, "--directory", join(directory, "ingress"), ...peers],
    },
  ];
}

async function startNats(directory: string, children: ChildProcess[]): Promise<string> {
  const binary = ["/usr/sbin/nats-server", "/usr/local/bin/nats-server", "/usr/bin/nats-server"].find(existsSync);
  const port = await freePort();
  const file = join(directory, "nats.conf");
  writeFileSync(
    file,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(join(directory, "nats"))} }\n`,
  );
  const child = spawn(binary ?? "nats-server", ["-c", file], { stdio: "ignore" });
  const ended = new Promise<never>((_, reject) => {
    child.on("error", () =>
      reject(
        new Error("nats-server is missing: install the package nats-server, or set storage.bus to a nats:// address"),
      ),
    );
    child.on("exit", (code) => reject(new Error(`nats-server ended with code ${code ?? "unknown"}; see ${file}`)));
  });
  // Once it runs, its end is printed and not an error of the start.
  ended.catch(() => print("nats-server", "ended"));
  children.push(child);
  print("nats-server", `pid ${child.pid ?? "unknown"} port ${port}`);
  await Promise.race([ended, accepts(port)]);
  return `nats://127.0.0.1:${port}`;
}

/** Resolves once something accepts connections at a port. */
async function accepts(port: number): Promise<void> {
  for (;;) {
    const connected = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true));
      socket.on("error", () => done(false));
      socket.on("close", () => socket.destroy());
      socket.on("connect", () => socket.end());
    });
    if (connected) {
      return;
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((done, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => done(port));
    });
  });
}

async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const ended = new Promise<void>((done) => child.on("exit", () => done()));
  child.kill("SIGTERM");
  await ended;
}

function print(name: string, text: string): void {
  for (const line of text.split("\n")) {
    process.stdout.write(`${name.padEnd(16)} ${line}\n`);
  }
}
