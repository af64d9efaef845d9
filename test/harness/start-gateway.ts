import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import pg from "pg";
import { parse } from "yaml";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { type Key, type KeySchema, KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { startTestNats, type TestNats } from "#kit/testing/nats.ts";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import { createSharedDatabase } from "./shared-postgres.ts";
import { waitUntil } from "./wait-until.ts";

/** One process with everything, or a process for each service. */
export type GatewayMode = "embedded" | "mesh";

/** What is started. */
export interface GatewayOptions {
  readonly mode: GatewayMode;
  /** The text of penstock.yaml, without addresses and storage. */
  readonly config: string;
  /** Variables for all processes. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running gateway: the real program, called from outside. */
export interface Gateway {
  readonly mode: GatewayMode;
  /** The public base URL; the same after a restart. */
  readonly url: string;
  readonly adminKey: string;
  /** The secret of a key without limits. */
  readonly virtualKey: string;
  /** The id of that key. */
  readonly virtualKeyId: string;
  /** The configuration file: what is written there is reloaded by reloadConfig. */
  readonly configFile: string;
  /** `gateway` when embedded; else `ingress`, `router`, `quota`, `cache`, `accounting`, `connector.<provider>`. */
  readonly processes: ReadonlyMap<string, GatewayProcess>;
  /** The bus; undefined when embedded. */
  readonly nats: TestNats | undefined;
  /** The address of the database. */
  readonly databaseUrl: string;
  readonly admin: {
    readonly keys: Client<typeof KeyService>;
    readonly accounting: Client<typeof AccountingService>;
  };
  /** The process that hosts a service: the only one when embedded. Throws when it was not started. */
  processOf(service: string): GatewayProcess;
  createKey(key?: MessageInitShape<typeof KeySchema>): Promise<{ readonly secret: string; readonly key: Key }>;
  getKey(keyId: string): Promise<Key>;
  /** All rows of the ledger, through the admin API: requests oldest first, the attempts of each in order. */
  ledger(): Promise<readonly UsageEvent[]>;
  /** The ledger as soon as it is so. Rejects after 30 s. */
  waitForLedger(holds: (rows: readonly UsageEvent[]) => boolean): Promise<readonly UsageEvent[]>;
  /** The rows of one request once the one that ended it is there. */
  waitForRequest(requestId: string): Promise<readonly UsageEvent[]>;
  /** A query to the database behind the gateway. */
  query(sql: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Writes a configuration and has every process read it now; resolves when each has said what came of it. */
  reloadConfig(config: string): Promise<void>;
  /** Resolves when /readyz says so. */
  waitUntilReady(): Promise<void>;
  /** What the processes wrote to their standard error, for a failed test. */
  logs(): string;
  /** Ends all processes and removes all files. */
  stop(): Promise<void>;
}

const adminKey = "admin-key-of-the-tests-0123456789";

/** Starts the program with an empty database of its own. Rejects with the output of whatever failed to start. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const directory = mkdtempSync(join(tmpdir(), "penstock-test-gateway-"));
  const configFile = join(directory, "penstock.yaml");
  writeFileSync(configFile, options.config);
  const processes = new Map<string, GatewayProcess>();
  let nats: TestNats | undefined;
  const database = await createSharedDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 2 });
  // Tests that end the server break idle connections, which nobody waits for; the next query opens another one.
  pool.on("error", () => undefined);

  async function stop(): Promise<void> {
    // The ingress first: it drains into the others.
    for (const process of [...processes.values()].toReversed()) {
      await process.kill("SIGKILL");
    }
    await pool.end();
    await nats?.close();
    await database.release();
    rmSync(directory, { recursive: true, force: true });
  }

  try {
    nats = options.mode === "mesh" ? await startTestNats() : undefined;
    await startProcesses({ ...options, configFile, directory, database: database.url, bus: nats?.url }, processes);
    return await createGateway({
      mode: options.mode,
      configFile,
      databaseUrl: database.url,
      processes,
      nats,
      pool,
      stop,
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

interface ProcessPlan extends GatewayOptions {
  readonly configFile: string;
  readonly directory: string;
  readonly database: string;
  readonly bus: string | undefined;
}

async function startProcesses(plan: ProcessPlan, processes: Map<string, GatewayProcess>): Promise<void> {
  const env = { PENSTOCK_ADMIN_KEY: adminKey, ...plan.env };
  const start = async (name: string, own: readonly string[], listens: "public" | "mesh" = "mesh"): Promise<string> => {
    const started = await startGatewayProcess({
      name,
      listens,
      env,
      arguments: [
        ...own,
        "--config",
        plan.configFile,
        "--database",
        plan.database,
        "--directory",
        join(plan.directory, name),
        ...(plan.bus === undefined ? [] : ["--bus", plan.bus]),
      ],
    });
    processes.set(name, started);
    return `${name}=${started.meshUrl}`;
  };
  if (plan.mode === "embedded") {
    await start("gateway", [], "public");
    return;
  }
  const providers = Object.keys((parse(plan.config) as { readonly providers?: object }).providers ?? {});
  const toPeers = (peers: readonly string[]): string[] => peers.flatMap((peer) => ["--peer", peer]);
  // Three steps, since a process has to know the addresses of those that it calls.
  const [accounting = "", cache = "", ...connectors] = await all([
    start("accounting", ["accounting"]),
    start("cache", ["cache"]),
    ...providers.map((name) => start(`connector.${name}`, ["connector", "--provider", name])),
  ]);
  const [quota = "", router = ""] = await all([
    start("quota", ["quota", ...toPeers([accounting])]),
    start("router", ["router", ...toPeers(connectors)]),
  ]);
  await start("ingress", ["ingress", ...toPeers([accounting, cache, quota, router])], "public");
}

/** Waits for all, also when one fails: what still starts must not be left behind. */
async function all<T>(work: readonly Promise<T>[]): Promise<readonly T[]> {
  await Promise.allSettled(work);
  return await Promise.all(work);
}

interface GatewayParts {
  readonly mode: GatewayMode;
  readonly configFile: string;
  readonly processes: ReadonlyMap<string, GatewayProcess>;
  readonly nats: TestNats | undefined;
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly stop: () => Promise<void>;
}

async function createGateway({ processes, pool, ...parts }: GatewayParts): Promise<Gateway> {
  const edge = processes.get("gateway") ?? processes.get("ingress");
  if (edge === undefined) {
    throw new Error("no process takes requests");
  }
  const transport = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: edge.url,
    interceptors: [withKey(adminKey)],
  });
  const keys = createClient(KeyService, transport);
  const accounting = createClient(AccountingService, transport);

  async function waitUntilReady(): Promise<void> {
    let last = "";
    await waitUntil(
      async () => {
        try {
          const response = await fetch(`${edge?.url}/readyz`);
          last = await response.text();
          return response.ok;
        } catch (error) {
          last = String(error);
          return false;
        }
      },
      () => `the gateway to be ready: ${last}`,
    );
  }
  async function createKey(init: MessageInitShape<typeof KeySchema> = {}) {
    const { key, secret } = await keys.createKey({ key: init });
    if (key === undefined) {
      throw new Error("CreateKey answered without a key");
    }
    return { secret, key };
  }
  const ledger = (): Promise<readonly UsageEvent[]> => readLedger(accounting);
  async function waitForLedger(holds: (rows: readonly UsageEvent[]) => boolean): Promise<readonly UsageEvent[]> {
    let rows: readonly UsageEvent[] = [];
    return await waitUntil(
      async () => {
        rows = await ledger();
        return holds(rows) && rows;
      },
      () => `the ledger; it holds ${JSON.stringify(rows.slice(-5), bigintAsText)}`,
    );
  }

  await waitUntilReady();
  const first = await createKey({ displayName: "without limits" });
  return {
    ...parts,
    adminKey,
    virtualKey: first.secret,
    virtualKeyId: first.key.id,
    processes,
    admin: { keys, accounting },
    get url() {
      return edge.url;
    },
    processOf(service) {
      const found = processes.get(service) ?? processes.get("gateway");
      if (found === undefined) {
        throw new Error(`there is no process of ${service}`);
      }
      return found;
    },
    createKey,
    async getKey(keyId) {
      const { key } = await keys.getKey({ keyId });
      if (key === undefined) {
        throw new Error("GetKey answered without a key");
      }
      return key;
    },
    ledger,
    waitForLedger,
    async waitForRequest(requestId) {
      let rows: readonly UsageEvent[] = [];
      return await waitUntil(
        async () => {
          const found = await pool.query("SELECT 1 FROM accounting.attempts WHERE request_id = $1 AND final", [
            requestId,
          ]);
          if (found.rowCount === 0) {
            return false;
          }
          rows = (await accounting.getRequest({ requestId })).attempts;
          return rows;
        },
        () => `the end of request ${requestId} in the ledger`,
      );
    },
    async query(sql, values = []) {
      return (await pool.query<Record<string, unknown>>(sql, [...values])).rows;
    },
    async reloadConfig(config) {
      writeFileSync(parts.configFile, config);
      const running = [...processes.values()].filter((process) => process.running);
      const said = running.map((process) => {
        const before = countReloads(process);
        return waitUntil(
          () => countReloads(process) > before,
          () => `${process.name} to reload`,
        );
      });
      await Promise.all(running.map((process) => process.kill("SIGHUP")));
      await Promise.all(said);
    },
    waitUntilReady,
    logs: () =>
      [...processes.values()]
        .map((process) => `--- ${process.name}\n${process.stderr.slice(-30).join("\n")}`)
        .join("\n"),
  };
}

/** All rows: requests oldest first, the attempts of each in order. */
async function readLedger(accounting: Client<typeof AccountingService>): Promise<readonly UsageEvent[]> {
  const last: UsageEvent[] = [];
  let pageToken = "";
  do {
    const page = await accounting.listRequests({ pageSize: 1_000, pageToken });
    last.push(...page.requests);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  const rows: UsageEvent[] = [];
  for (const event of last.toReversed()) {
    // Attempts are counted from 0: only requests with more than one need asking for the others.
    rows.push(
      ...(event.attemptIndex === 0 ? [event] : (await accounting.getRequest({ requestId: event.requestId })).attempts),
    );
  }
  return rows;
}

function countReloads(process: GatewayProcess): number {
  return process.stderr.filter((line) => /the configuration was (?:not )?reloaded/.test(line)).length;
}

/** Sends a key with every call. */
export function withKey(secret: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${secret}`);
    return next(request);
  };
}

function bigintAsText(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
