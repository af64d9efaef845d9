import assert from "node:assert/strict";
import { test } from "node:test";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inMode } from "../harness/both-modes.ts";
import { type CallTarget, chat, type GatewayReply } from "../harness/call-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";

inMode(
  "mesh",
  "what fails when one process of the mesh dies",
  ({ url }) => `
providers:
  one: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  two: { kind: anthropic, base_url: "${url}", api_key: none }
models:
  of-one: { route: [{ target: one/a }] }
  of-two: { route: [{ target: two/b }] }
  of-both: { route: [{ target: one/a }], fallback: [of-two] }
cache: { exact: { ttl: 10m } }
prices: { overrides: { one/a: { input: $1/M, output: $1/M }, two/b: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    const target = (): CallTarget => ({ url: context.gateway.url, key: context.gateway.virtualKey });
    const uncached = { "x-penstock-cache": "no-store" };
    const ask = (model: string, key = context.gateway.virtualKey): Promise<GatewayReply> =>
      chat({ url: context.gateway.url, key }, model, { max_tokens: 10 }, uncached);
    const untilStatus = (status: number, call: () => Promise<GatewayReply>): Promise<GatewayReply> =>
      waitUntil(
        async () => {
          const reply = await call();
          return reply.status === status && reply;
        },
        () => `status ${status}`,
      );

    test("without one connector only its provider's models fail", async () => {
      const connector = context.gateway.processOf("connector.one");
      assert.equal((await ask("of-one")).status, 200);
      await connector.kill("SIGKILL");
      const failed = await ask("of-one");
      assert.equal(failed.status, 503, failed.text);
      assert.equal(failed.json?.error?.code, "service_unavailable");
      assert.doesNotMatch(failed.text, /127\.0\.0\.1|http\/2/);
      assert.equal(failed.headers.get("x-should-retry"), "true");
      assert.equal((await ask("of-two")).status, 200);
      const other = await ask("of-both");
      assert.equal(other.status, 200, other.text);
      assert.equal(other.headers.get("x-penstock-provider"), "two");
      assert.equal((await fetch(`${context.gateway.url}/readyz`)).status, 200);
      await connector.restart();
      await untilStatus(200, () => ask("of-one"));
    });

    test("without quota known keys without limits go on, and budgets cannot be verified", async () => {
      const { gateway } = context;
      const quota = gateway.processOf("quota");
      const { secret: limited, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      const { secret: rated } = await gateway.createKey({ requestsPerMinute: 100n });
      assert.equal((await ask("of-one", limited)).status, 200);
      await quota.kill("SIGKILL");
      assert.equal((await ask("of-one")).status, 200);
      assert.equal((await ask("of-one", rated)).status, 200, "a rate limit that cannot be asked is not an outage");
      const refused = await ask("of-one", limited);
      assert.equal(refused.status, 503, refused.text);
      assert.equal(refused.json?.error?.code, "quota_unavailable");
      assert.equal(refused.headers.get("x-should-retry"), "true");
      assert.ok(Number(refused.headers.get("retry-after")) > 0);
      await quota.restart();
      await untilStatus(200, () => ask("of-one", limited));
      const rows = (
        await gateway.waitForLedger((all) => all.filter((row) => row.keyId === key.id).length === 2)
      ).filter((row) => row.keyId === key.id);
      assert.ok(rows.every((row) => row.outcome === Outcome.SUCCEEDED));
    });

    test("without the cache everything is a miss", async () => {
      const cache = context.gateway.processOf("cache");
      const cached = () => chat(target(), "of-one", { seed: 1 });
      await cached();
      await waitUntil(
        async () => (await cached()).headers.get("x-penstock-cache") === "hit",
        () => "a hit",
      );
      await cache.kill("SIGKILL");
      const missed = await cached();
      assert.equal(missed.status, 200, missed.text);
      assert.equal(missed.headers.get("x-penstock-cache"), "miss");
      await cache.restart();
      await waitUntil(
        async () => (await cached()).headers.get("x-penstock-cache") === "hit",
        () => "a hit after the restart",
      );
    });

    test("a cache that hangs delays a request by little, and is a miss", async () => {
      const cache = context.gateway.processOf("cache");
      await cache.kill("SIGSTOP");
      const missed = await chat(target(), "of-one", { seed: 2 });
      assert.equal(missed.status, 200, missed.text);
      assert.equal(missed.headers.get("x-penstock-cache"), "miss");
      await cache.kill("SIGCONT");
    });

    test("without the bus requests go on, and their rows arrive once it is back", async () => {
      const { gateway } = context;
      assert.ok(gateway.nats !== undefined);
      const { secret, key } = await gateway.createKey();
      await gateway.nats.kill("SIGKILL");
      for (let count = 0; count < 20; count += 1) {
        assert.equal((await ask("of-one", secret)).status, 200);
      }
      await gateway.nats.restart();
      const rows = await gateway.waitForLedger((all) => all.filter((row) => row.keyId === key.id).length >= 20);
      const own = rows.filter((row) => row.keyId === key.id);
      assert.equal(own.length, 20);
      assert.equal(new Set(own.map((row) => row.attemptId)).size, 20);
    });

    test("without accounting requests go on, and their rows arrive once it is back", async () => {
      const { gateway } = context;
      const accounting = gateway.processOf("accounting");
      const { secret, key } = await gateway.createKey();
      await accounting.kill("SIGKILL");
      for (let count = 0; count < 20; count += 1) {
        assert.equal((await ask("of-one", secret)).status, 200);
      }
      await accounting.restart();
      await waitUntil(
        async () => {
          const [row] = await gateway.query("SELECT count(*)::int AS rows FROM accounting.attempts WHERE key_id = $1", [
            key.id,
          ]);
          return row?.["rows"] === 20;
        },
        () => "the rows of 20 requests",
      );
    });

    test("without the router nothing can be answered, and with it again everything can", async () => {
      const router = context.gateway.processOf("router");
      await router.kill("SIGKILL");
      const failed = await ask("of-one");
      assert.equal(failed.status, 503, failed.text);
      assert.equal(failed.json?.error?.code, "service_unavailable");
      assert.doesNotMatch(failed.text, /127\.0\.0\.1|http\/2/);
      assert.equal(failed.headers.get("x-should-retry"), "true");
      const again = await ask("of-one");
      assert.equal(again.status, 503, again.text);
      assert.doesNotMatch(again.text, /127\.0\.0\.1|http\/2/);
      await router.restart();
      await untilStatus(200, () => ask("of-one"));
    });
  },
);
