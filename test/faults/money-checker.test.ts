import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startEmbeddedServer } from "#kit/postgres/embedded-server.ts";
import { inMode } from "../harness/both-modes.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import type { GatewayProcess } from "../harness/gateway-process.ts";
import { goodAnswer } from "../harness/provider-answers.ts";
import type { Gateway } from "../harness/start-gateway.ts";
import { type CallRecord, markerOf, sendLoad } from "./call-history.ts";
import { checkBudget, checkLedger } from "./check-ledger.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

// PENSTOCK_MONEY_CALLS says how many calls are made, 2,000 unless given; PENSTOCK_MONEY_SEED when what dies.
const calls = Number(process.env["PENSTOCK_MONEY_CALLS"] ?? 2_000);
const seed = Number(process.env["PENSTOCK_MONEY_SEED"] ?? Date.now() % 1_000_000);
const kills = 20;

const directory = mkdtempSync(join(tmpdir(), "penstock-money-postgres-"));
// A server of its own, which dies and comes back, behind a proxy that stalls; the harness makes its database there.
let server = await startEmbeddedServer({ directory });
const proxy = await startTcpProxy(() => Number(new URL(server.url).port));
const proxied = new URL(server.url);
proxied.port = String(proxy.port);
process.env["PENSTOCK_TEST_DATABASE_URL"] = proxied.href;
after(async () => {
  await proxy.close();
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

inMode(
  "mesh",
  "money while everything behind the data plane dies",
  ({ url }) => `
providers:
  fake: { kind: openai, base_url: "${url}/v1", api_key: none }
models:
  plain: { route: [ { target: fake/plain } ], retry: { attempts: 1 } }
prices: { overrides: { fake/plain: { input: $1/M, output: $10/M } } }
quota: { idle: 2s }
`,
  (context) => {
    test(`${calls} calls, accounting killed ${kills} times, bus and database restarted and stalled: nothing is lost or double`, {
      timeout: 1_200_000,
    }, async (t) => {
      t.diagnostic(`PENSTOCK_MONEY_SEED=${seed}`);
      const { gateway, provider } = context;
      provider.script("plain", (request) => {
        const answer = goodAnswer(request, usageOf(request.id));
        return { ...answer, parts: [(request.id % 8) * 150, ...(answer.parts ?? [])] };
      });
      const keys = [await gateway.createKey({ budgetNanosUsd: 1_000_000_000_000n }), await gateway.createKey()];
      let answered = 0;
      const load = sendLoad({
        targets: keys.map(({ secret }) => ({ url: gateway.url, key: secret })),
        model: "plain",
        count: calls,
        concurrency: Math.max(50, calls / 100),
        name: "money",
        onCall: (soFar) => {
          answered = soFar;
        },
      });
      const reached = async (share: number): Promise<void> => {
        let last = -1;
        // What is refused for a while is not answered: whoever waits for a share in vain goes on.
        for (let silent = 0; answered < calls * share && silent < 40; silent = answered === last ? silent + 1 : 0) {
          last = answered;
          await pause(250);
        }
      };
      const killed = killAccounting(gateway.processOf("accounting"));
      const stalled = stallAndRestart(gateway, reached);
      const history = await load;
      await Promise.all([killed, stalled]);
      const ids = keys.map(({ key }) => key.id);
      assert.ok(history.filter(({ outcome }) => outcome === "answered").length > calls / 2, "too few were answered");
      assert.deepEqual(
        history.filter(({ outcome }) => outcome === "broken"),
        [],
      );
      await checkLedger(gateway, provider, history, ids);
      assert.equal(await costOf(gateway, ids), costAtProvider(provider, history));
      await checkBudget(gateway, ids[0] ?? "");
    });
  },
);

function usageOf(id: number): { readonly inputTokens: number; readonly outputTokens: number } {
  return { inputTokens: 1 + (id % 13), outputTokens: 1 + (id % 10) };
}

/** At random instants, the same for the same seed as far as processes can be. */
async function killAccounting(accounting: GatewayProcess): Promise<void> {
  let state = seed;
  for (let count = 0; count < kills; count += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    await pause((state >>> 16) % 700);
    await accounting.kill("SIGKILL");
    // One that starts while the database is away ends at once.
    for (let isUp = false; !isUp; ) {
      isUp = await accounting.restart().then(
        () => true,
        () => pause(250, false),
      );
    }
  }
}

async function stallAndRestart({ nats }: Gateway, reached: (share: number) => Promise<void>): Promise<void> {
  assert.ok(nats !== undefined, "there is no bus");
  await reached(0.15);
  await nats.kill("SIGKILL");
  await pause(500);
  await nats.restart();
  await reached(0.35);
  proxy.hang();
  await pause(2_000);
  proxy.resume();
  await reached(0.5);
  await server.close();
  server = await startEmbeddedServer({ directory });
  await reached(0.75);
  await nats.kill("SIGSTOP");
  await pause(2_000);
  await nats.kill("SIGCONT");
}

async function costOf(gateway: Gateway, keyIds: readonly string[]): Promise<bigint> {
  const [row] = await gateway.query(
    "SELECT coalesce(sum(cost_nanos), 0)::text AS cost FROM accounting.attempts WHERE key_id = ANY($1)",
    [keyIds],
  );
  return BigInt(String(row?.["cost"]));
}

/** What the provider would write on its bill for these calls: $1 for a million tokens of input, $10 of output. */
function costAtProvider(provider: FakeProvider, history: readonly CallRecord[]): bigint {
  const markers = new Set(history.map(({ marker }) => marker));
  let sum = 0n;
  for (const request of provider.requests) {
    if (markers.has(markerOf(request.body) ?? "")) {
      const { inputTokens, outputTokens } = usageOf(request.id);
      sum += BigInt(inputTokens) * 1_000n + BigInt(outputTokens) * 10_000n;
    }
  }
  return sum;
}
