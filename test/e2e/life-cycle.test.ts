import assert from "node:assert/strict";
import { test } from "node:test";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { beginChat, type CallTarget, chat, get } from "../harness/call-gateway.ts";
import { openAiStream } from "../harness/provider-answers.ts";
import { waitUntil } from "../harness/wait-until.ts";

const config = (url: string, target: string): string => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  fast: { route: [{ target: fake/${target} }] }
prices: { overrides: { fake/${target}: { input: $1/M, output: $1/M } } }
`;

inBothModes(
  "life cycle",
  ({ url }) => config(url, "old"),
  (context) => {
    const target = (): CallTarget => ({ url: context.gateway.url, key: context.gateway.virtualKey });

    /** A stream that has sent its first piece and goes on when it is told to. */
    function heldStream(model: string): { readonly goOn: () => void } {
      const { promise, resolve } = Promise.withResolvers<void>();
      const whole = openAiStream({ pieces: ["One ", "two."], model });
      const [role = "", first = "", ...rest] = whole.parts ?? [];
      context.provider.script(model, { ...whole, parts: [role, first, promise, ...rest] });
      return { goOn: resolve };
    }

    test("a new configuration routes new requests at once, and running ones end as they began", async () => {
      const { gateway, provider } = context;
      const held = heldStream("old");
      const running = beginChat(target(), "fast", { stream: true });
      await running.waitForText("One ");
      await gateway.reloadConfig(config(provider.url, "new"));
      await waitUntil(
        async () => (await chat(target(), "fast")).headers.get("x-penstock-model") === "new",
        () => "the new route",
      );
      held.goOn();
      const text = await running.ended;
      assert.match(text, /two\./);
      assert.match(text, /\[DONE\]/);
    });

    test("a configuration that is invalid leaves the old one in place", async () => {
      const { gateway, provider } = context;
      await gateway.reloadConfig("providers: { fake: { kind: nonsense } }");
      const reply = await chat(target(), "fast");
      assert.equal(reply.status, 200, reply.text);
      assert.equal(reply.headers.get("x-penstock-model"), "new");
      assert.ok([...gateway.processes.values()].every((process) => process.running));
      await gateway.reloadConfig(config(provider.url, "newest"));
      await waitUntil(
        async () => (await chat(target(), "fast")).headers.get("x-penstock-model") === "newest",
        () => "the route of the corrected file",
      );
    });

    test("health, readiness and metrics are on the same port, without a key", async () => {
      const { gateway } = context;
      assert.equal((await fetch(`${gateway.url}/healthz`)).status, 200);
      assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200);
      const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
      assert.match(metrics, /^penstock_ingress_/m);
    });

    test("SIGTERM while streams run: they end whole, their rows are written, and the process ends with 0", async () => {
      const { gateway } = context;
      const held = heldStream("newest");
      const { secret, key } = await gateway.createKey();
      const running = Array.from({ length: 5 }, () =>
        beginChat({ url: gateway.url, key: secret }, "fast", { stream: true }),
      );
      await Promise.all(running.map((call) => call.waitForText("One ")));
      const edge = gateway.processOf("ingress");
      const ended = edge.kill("SIGTERM");
      await waitUntil(
        () =>
          get(target(), "/v1/models").then(
            () => false,
            () => true,
          ),
        () => "new connections to be refused",
      );
      assert.ok(edge.running, "it waits for what runs");
      held.goOn();
      for (const call of running) {
        const text = await call.ended;
        assert.match(text, /two\./);
        assert.match(text, /\[DONE\]/);
      }
      await ended;
      assert.equal(edge.exit, 0);
      await edge.restart();
      await gateway.waitUntilReady();
      const rows = await gateway.waitForLedger(
        (all) => all.filter((row) => row.keyId === key.id).length >= running.length,
      );
      const own = rows.filter((row) => row.keyId === key.id);
      assert.deepEqual(
        own.map((row) => row.outcome),
        running.map(() => Outcome.SUCCEEDED),
      );
    });

    test("keys, budgets and the ledger are there after a restart", async () => {
      const { gateway, provider } = context;
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: 15_000n * 3n });
      const call = () => chat({ url: gateway.url, key: secret }, "fast", { max_tokens: 5 });
      provider.script("newest");
      const first = await call();
      assert.equal(first.status, 429, "the bound of the input alone is more than the budget");
      await gateway.admin.keys.updateKey({ key: { ...key, budgetNanosUsd: 1_000_000n } });
      assert.equal((await call()).status, 200);
      const { spentNanosUsd } = await gateway.getKey(key.id);
      assert.equal(spentNanosUsd, 15_000n);
      for (const process of [...gateway.processes.values()].toReversed()) {
        await process.kill("SIGTERM");
        assert.equal(process.exit, 0, process.name);
      }
      for (const process of gateway.processes.values()) {
        await process.restart();
      }
      await gateway.waitUntilReady();
      assert.equal((await gateway.getKey(key.id)).spentNanosUsd, spentNanosUsd);
      assert.equal((await call()).status, 200);
    });
  },
);
