import assert from "node:assert/strict";
import { after, test } from "node:test";
import pg from "pg";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { type CallTarget, chat } from "../harness/call-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { type CallRecord, sendLoad } from "./call-history.ts";
import { checkBudget, checkLedger } from "./check-ledger.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

// The harness makes its databases on the server that this names: here, one behind a proxy.
const postgres = await startTestPostgres();
const direct = new URL(postgres.url);
const proxy = await startTcpProxy(Number(direct.port));
const proxied = new URL(postgres.url);
proxied.port = String(proxy.port);
process.env["PENSTOCK_TEST_DATABASE_URL"] = proxied.href;
after(async () => {
  await proxy.close();
  await postgres.close();
});

/** Ends all connections of the gateway at the server's side, where the proxy is not in the way. */
async function dropConnections(): Promise<void> {
  const client = new pg.Client({ connectionString: direct.href });
  await client.connect();
  await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'penstock%'");
  await client.end();
}

inBothModes(
  "a database that hangs",
  ({ url }) => `
providers:
  fake: { kind: openai, base_url: "${url}/v1", api_key: none }
models:
  plain: { route: [ { target: fake/plain } ], retry: { attempts: 1 } }
prices: { overrides: { fake/plain: { input: $1/M, output: $10/M } } }
quota: { grace: 1s }
`,
  (context) => {
    for (const [name, end] of Object.entries({
      "goes on": () => Promise.resolve(),
      "drops its connections and goes on": dropConnections,
    })) {
      test(`delays nobody whose key is known and has no budget, and has all rows once it ${name}`, async () => {
        const { gateway, provider } = context;
        const plain = await gateway.createKey();
        const budget = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
        const [probe, budgetProbe] = [
          await gateway.createKey(),
          await gateway.createKey({ budgetNanosUsd: 1_000_000_000n }),
        ];
        const targetOf = ({ secret }: { readonly secret: string }) => ({ url: gateway.url, key: secret });
        const load = (targets: readonly CallTarget[], of: string, count: number): Promise<readonly CallRecord[]> =>
          sendLoad({ targets, model: "plain", count, concurrency: 20, name: `${of}-${name.length}` });
        const warm = await load([targetOf(plain), targetOf(budget)], "warm", 20);
        for (const key of [probe, budgetProbe]) {
          assert.equal((await chat(targetOf(key), "plain", { max_tokens: 10 })).status, 200);
        }
        proxy.hang();
        try {
          const hung = await load([targetOf(plain)], "hung", 300);
          assert.deepEqual(
            hung.filter((call) => call.outcome !== "answered"),
            [],
          );
          const refused = await waitUntil(
            async () => {
              const reply = await chat(targetOf(budgetProbe), "plain", { max_tokens: 10 });
              return reply.status !== 200 && reply;
            },
            () => "a budget that nobody can check to be refused",
          );
          assert.equal(refused.status, 503, refused.text);
          assert.equal(refused.json?.error?.code, "quota_unavailable");
          assert.equal(refused.headers.get("x-should-retry"), "true");
          assert.ok(Number(refused.headers.get("retry-after")) > 0);
          const unknown = await chat({ url: gateway.url, key: "sk-pen-unknown-unknown" }, "plain");
          assert.equal(unknown.status, 503, unknown.text);
          assert.equal((await chat(targetOf(probe), "plain")).status, 200);
          await end();
          proxy.resume();
          await waitUntil(
            async () => (await chat(targetOf(budgetProbe), "plain", { max_tokens: 10 })).status === 200,
            () => "the budget to be checked again",
          );
          await checkLedger(
            gateway,
            provider,
            [...warm, ...hung],
            [plain, budget].map(({ key }) => key.id),
          );
          await checkBudget(gateway, budget.key.id);
        } finally {
          proxy.resume();
        }
      });
    }
  },
);
