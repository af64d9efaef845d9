import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AccountingService, Dimension } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { KeyService } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { answerUsage } from "./answers.ts";
import { type LedgerGateway, modelName } from "./bench-gateway.ts";
import { cores, type PinnedProcess, pinProcess, startPinned } from "./pinned-process.ts";
import { processTree } from "./process-cpu.ts";
import type { StartedGateways } from "./start-gateways.ts";

/** How Penstock is started. */
export interface PenstockOptions {
  /** In front of the rows' names. */
  readonly name: string;
  readonly mode: "one-process" | "mesh";
  /** The root of the checkout that is run; this one when absent. */
  readonly root?: string | undefined;
  readonly upstreamUrl: string;
  /** An empty folder of its own. */
  readonly directory: string;
  /** Where each Node process writes a CPU profile when it ends; absent: nowhere. */
  readonly profileDirectory?: string | undefined;
}

/** A started Penstock. */
export interface StartedPenstock extends StartedGateways {
  readonly gateways: readonly LedgerGateway[];
}

const adminKey = "admin-key-of-the-bench-0123456789";
const thisRoot = fileURLToPath(new URL("../..", import.meta.url));
/** Nano-dollars a token. */
const inputPrice = 100n;
const outputPrice = 400n;
/** A million dollars: no run comes near it, so slices are as large as they get. */
const budgetNanosUsd = 1_000_000_000_000_000n;
/** What runs beside the gateway and has columns of its own. */
const isOther = (name: string): boolean => name.startsWith("postgres") || name.startsWith("nats-server");

/** What one answered request costs, in nano-dollars. */
export const costOfRequest: bigint =
  BigInt(answerUsage.inputTokens) * inputPrice + BigInt(answerUsage.outputTokens) * outputPrice;

/**
 * Starts Penstock with a Postgres of its own, and gives two rows for it: a key with a budget, which has everything on,
 * and a key without limits. The Node processes run on the gateway's core, Postgres and NATS on the load's.
 */
export async function startPenstock(options: PenstockOptions): Promise<StartedPenstock> {
  const { directory } = options;
  const config = join(directory, "penstock.yaml");
  writeFileSync(config, configText(options.upstreamUrl));
  const main = join(options.root ?? thisRoot, "services/main.ts");
  // By the environment, since a mesh starts processes of its own.
  const profile =
    options.profileDirectory === undefined
      ? {}
      : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${resolve(options.profileDirectory)}` };
  const process_ = await startPinned({
    name: options.name,
    command: process.execPath,
    arguments: [
      main,
      options.mode === "mesh" ? "mesh" : "start",
      "--config",
      config,
      "--listen",
      "127.0.0.1:0",
      "--directory",
      join(directory, "storage"),
    ],
    env: { PENSTOCK_ADMIN_KEY: adminKey, ...profile },
    folder: directory,
    readyLine: /^(?:ingress +)?url +(http:\/\/\S+)$/,
  });
  try {
    return { gateways: await openGateways(options.name, process_), stop: process_.stop };
  } catch (error) {
    // Nobody else knows of it yet.
    await process_.stop();
    throw error;
  }
}

async function openGateways(rowName: string, process_: PinnedProcess): Promise<readonly LedgerGateway[]> {
  const url = process_.ready;
  await waitUntil(
    async () => (await fetch(`${url}/readyz`)).ok,
    () => "every process of the mesh to be there",
  );
  const otherPids = (): readonly number[] => processTree(process_.pid, isOther);
  const pids = processTree(process_.pid, (name) => !isOther(name));
  for (const pid of pids) {
    pinProcess(pid, cores.gateway);
  }
  const transport = createConnectTransport({ httpVersion: "1.1", baseUrl: url, interceptors: [withKey(adminKey)] });
  const keys = createClient(KeyService, transport);
  const accounting = createClient(AccountingService, transport);
  const gateway = async (name: string, budget: bigint | undefined): Promise<LedgerGateway> => {
    const { key, secret } = await keys.createKey({
      key: { displayName: name, ...(budget === undefined ? {} : { budgetNanosUsd: budget }) },
    });
    return {
      name,
      port: Number(new URL(url).port),
      key: secret,
      pids,
      otherPids,
      settled: () => journalEmpty(url),
      ledger: () => readLedger(accounting, key?.id ?? ""),
    };
  };
  return [await gateway(rowName, budgetNanosUsd), await gateway(`${rowName}, no budget`, undefined)];
}

/** Events stay in the journal until the ledger has them. */
async function journalEmpty(url: string): Promise<void> {
  let pending = "";
  await waitUntil(
    async () => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      pending = /^penstock_ingress_journal_pending_records(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1] ?? "";
      return pending === "0";
    },
    () => `the ledger to have all events; ${pending} are pending`,
  );
}

async function readLedger(accounting: Client<typeof AccountingService>, keyId: string) {
  const { rows } = await accounting.queryUsage({ filter: { keyId }, groupBy: [Dimension.OUTCOME] });
  return rows.map((row) => ({
    outcome: row.dimensions[0] ?? "",
    attempts: row.attempts,
    costNanosUsd: row.costNanosUsd,
  }));
}

function withKey(secret: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${secret}`);
    return next(request);
  };
}

function configText(upstreamUrl: string): string {
  const target = `upstream/${modelName}`;
  return `providers:
  upstream: { kind: openai-compatible, base_url: "${upstreamUrl}/v1", api_key: none }
models:
  ${modelName}: { route: [ { target: ${target} } ] }
prices:
  overrides:
    ${target}: { input: $${dollarsPerMillion(inputPrice)}/M, output: $${dollarsPerMillion(outputPrice)}/M }
`;
}

function dollarsPerMillion(nanosPerToken: bigint): string {
  return (Number(nanosPerToken) / 1_000).toFixed(2);
}
