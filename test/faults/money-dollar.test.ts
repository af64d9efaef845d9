import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { OrganizationService } from "#gen/penstock/admin/v1/organization_service_pb.ts";
import { TeamService } from "#gen/penstock/admin/v1/team_service_pb.ts";
import { inMode, type ModeContext } from "../harness/both-modes.ts";
import { type Replicas, startReplicas } from "../harness/start-replicas.ts";
import { withKey } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { type CallRecord, markerOf, sendLoad } from "./call-history.ts";

const cent = 10_000_000n;
const dollar = 100n * cent;
const rounds = 3;
const scopes = ["key", "team", "organization"] as const;
type Scope = (typeof scopes)[number];
const names = [...Array.from({ length: rounds }, (_, round) => `round${round}`), "killed"];

/** A key with a dollar, of its own, its team's or its organisation's. */
interface Payer {
  readonly scope: Scope;
  readonly name: string;
  readonly keyId: string;
  readonly secret: string;
}

inMode(
  "mesh",
  "a dollar shared by three ingresses and two processes of quota",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  cent: { route: [{ target: fake/cent }], retry: { attempts: 1 } }
prices: { overrides: { fake/cent: { input: $0/M, output: $0/M, request: $0.01 } } }
limits:
  - { scope: { team: each }, budget: $1, window: month }
${names.map((name) => `  - { scope: { organization: "${name}" }, budget: $1 }`).join("\n")}
`,
  (context) => {
    let replicas: Replicas | undefined;
    before(async () => {
      replicas = await startReplicas(context.gateway);
    });
    after(() => replicas?.stop());

    for (const scope of scopes) {
      test(`lets exactly 100 of 1,000 requests of a cent pass on the ${scope}, three times out of three`, async () => {
        for (let round = 0; round < rounds; round += 1) {
          const payer = await createPayer(context, scope, `round${round}`);
          const history = await spend(payer, started(replicas).urls, 1_000);
          assert.deepEqual(countByStatus(history), { "200": 100, "429": 900 });
          assert.equal(askedOfProvider(context, payer), 100, "what is refused does not reach the provider");
          await waitForCost(context, payer, dollar);
        }
      });
    }

    test("never lets more than 100 pass when a process of quota is killed, and all of the rest is spendable within 120 s", {
      timeout: 300_000,
    }, async () => {
      const { quota, urls } = started(replicas);
      const payers = await Promise.all(scopes.map((scope) => createPayer(context, scope, "killed")));
      // The second process takes its part of each budget, of which it has most left when it dies.
      for (const payer of payers) {
        await sendLoad({ ...loadOf(payer, urls.slice(1), 2), name: `${payer.scope}-killed-first` });
      }
      let killed: Promise<void> | undefined;
      let killedMs = 0;
      await Promise.all(
        payers.map((payer) =>
          sendLoad({
            ...loadOf(payer, urls.slice(0, 1), 500),
            onCall(answered) {
              if (answered >= 30) {
                killedMs ||= performance.now();
                killed ??= quota.restart("SIGKILL");
              }
            },
          }),
        ),
      );
      assert.ok(killed !== undefined, "too few requests passed to kill it half-way");
      await killed;
      for (const payer of payers) {
        assert.ok(askedOfProvider(context, payer) < 100, `nothing was left of the ${payer.scope}'s dollar`);
      }
      for (const payer of payers) {
        let attempt = 0;
        while (askedOfProvider(context, payer) < 100) {
          assert.ok(
            performance.now() - killedMs < 120_000,
            `${payer.scope}: ${askedOfProvider(context, payer)} passed`,
          );
          attempt += 1;
          await sendLoad({ ...loadOf(payer, urls, 3), name: `${payer.scope}-killed-after${attempt}` });
          await pause(500);
        }
      }
      for (const payer of payers) {
        await sendLoad({ ...loadOf(payer, urls, 30), name: `${payer.scope}-killed-last` });
        assert.equal(askedOfProvider(context, payer), 100);
        await waitForCost(context, payer, dollar);
      }
    });
  },
);

async function createPayer({ gateway }: ModeContext, scope: Scope, name: string): Promise<Payer> {
  const transport = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: gateway.url,
    interceptors: [withKey(gateway.adminKey)],
  });
  if (scope === "team") {
    await createClient(TeamService, transport).createTeam({ team: { id: name } });
  }
  if (scope === "organization") {
    await createClient(OrganizationService, transport).createOrganization({ organization: { id: name } });
  }
  const { key, secret } = await gateway.createKey({
    ...(scope === "key" ? { budgetNanosUsd: dollar } : {}),
    ...(scope === "team" ? { teamId: name } : {}),
    ...(scope === "organization" ? { organizationId: name } : {}),
  });
  return { scope, name, keyId: key.id, secret };
}

function loadOf({ scope, name, secret }: Payer, urls: readonly string[], count: number) {
  const targets = urls.map((url) => ({ url, key: secret }));
  return { targets, model: "cent", count, concurrency: count, name: `${scope}-${name}` };
}

/** All at once; who is told that quota could not say calls again. */
async function spend(payer: Payer, urls: readonly string[], count: number): Promise<readonly CallRecord[]> {
  const decided: CallRecord[] = [];
  for (let attempt = 0; decided.length < count && attempt < 20; attempt += 1) {
    const load = loadOf(payer, urls, count - decided.length);
    const history = await sendLoad({ ...load, name: `${load.name}-${attempt}` });
    decided.push(...history.filter(({ status }) => status !== 503));
  }
  return decided;
}

/** How many requests of a payer the provider was asked. */
function askedOfProvider({ provider }: ModeContext, { scope, name }: Payer): number {
  return provider.requests.filter(({ body }) => markerOf(body)?.startsWith(`${scope}-${name}-`)).length;
}

async function waitForCost({ gateway }: ModeContext, { keyId, scope }: Payer, expected: bigint): Promise<void> {
  let last = "";
  await waitUntil(
    async () => {
      const [row] = await gateway.query(
        "SELECT coalesce(sum(cost_nanos), 0)::text AS cost FROM accounting.attempts WHERE key_id = $1",
        [keyId],
      );
      last = String(row?.["cost"]);
      return BigInt(last) === expected;
    },
    () => `the ledger to have ${expected} for the ${scope}: ${last}`,
  );
}

function countByStatus(history: readonly CallRecord[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status } of history) {
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

function started(replicas: Replicas | undefined): Replicas {
  assert.ok(replicas !== undefined, "the replicas have not started");
  return replicas;
}
