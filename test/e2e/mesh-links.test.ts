import assert from "node:assert/strict";
import { test } from "node:test";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inMode } from "../harness/both-modes.ts";
import { beginChat, type CallTarget, chat, type LeavableCall } from "../harness/call-gateway.ts";
import { openAiStream } from "../harness/provider-answers.ts";
import { waitUntil } from "../harness/wait-until.ts";

inMode(
  "mesh",
  "links between processes",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  m: { route: [{ target: fake/m }] }
  large: { route: [{ target: fake/large }] }
prices: { overrides: { fake/m: { input: $1/M, output: $1/M }, fake/large: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    const target = (): CallTarget => ({ url: context.gateway.url, key: context.gateway.virtualKey });
    const onTheWay = ["router", "connector.fake"] as const;

    /** Streams that have sent their first piece, and go on when they are told to. */
    async function heldStreams(key: string): Promise<{ readonly calls: readonly LeavableCall[]; goOn(): void }> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const whole = openAiStream({ pieces: ["One ", "two."], model: "m" });
      const [role = "", first = "", ...rest] = whole.parts ?? [];
      context.provider.script("m", { ...whole, parts: [role, first, promise, ...rest] });
      const calls = Array.from({ length: 5 }, () =>
        beginChat({ url: context.gateway.url, key }, "m", { stream: true }),
      );
      await Promise.all(calls.map((call) => call.waitForText("One ")));
      context.provider.script("m", openAiStream({ pieces: ["Hello."], model: "m" }));
      return { calls, goOn: resolve };
    }

    const untilAnswered = (): Promise<true> =>
      waitUntil(
        async () => (await chat(target(), "m", { stream: true })).status === 200,
        () => "requests to be answered again",
      );

    for (const name of onTheWay) {
      test(`a ${name} that is told to stop ends its streams whole, and those after it are answered by the next`, async () => {
        const { gateway } = context;
        const process = gateway.processOf(name);
        const { calls, goOn } = await heldStreams(gateway.virtualKey);
        const ended = process.kill("SIGTERM");
        await waitUntil(
          async () => (await chat(target(), "m", { stream: true })).status === 503,
          () => `${name} to take no more calls`,
        );
        assert.ok(process.running, "it waits for what runs");
        goOn();
        for (const call of calls) {
          const text = await call.ended;
          assert.match(text, /two\./);
          assert.match(text, /\[DONE\]/);
        }
        await ended;
        assert.equal(process.exit, 0);
        await process.restart();
        await untilAnswered();
      });

      test(`a ${name} that dies in the middle of streams leaves none that looks whole, and each is in the ledger`, async () => {
        const { gateway } = context;
        const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
        const { calls, goOn } = await heldStreams(secret);
        await gateway.processOf(name).kill("SIGKILL");
        for (const call of calls) {
          const text = await call.ended.catch(() => "");
          assert.doesNotMatch(text, /\[DONE\]/);
        }
        goOn();
        await gateway.processOf(name).restart();
        await untilAnswered();
        const rows = await gateway.waitForLedger(
          (all) => all.filter((row) => row.keyId === key.id).length >= calls.length,
        );
        const own = rows.filter((row) => row.keyId === key.id);
        assert.equal(own.length, calls.length);
        assert.ok(own.every((row) => row.final && row.outcome !== Outcome.SUCCEEDED));
        // The provider had begun to answer, and bills what it said.
        assert.ok(own.every((row) => (row.usage?.outputTokens ?? 0n) > 0n && row.costNanosUsd > 0n));
      });
    }

    test("a router that hangs in the middle of a stream is given up", async () => {
      const { gateway } = context;
      const { calls, goOn } = await heldStreams(gateway.virtualKey);
      await gateway.processOf("router").kill("SIGSTOP");
      for (const call of calls) {
        const text = await call.ended.catch(() => "");
        assert.doesNotMatch(text, /\[DONE\]/);
      }
      await gateway.processOf("router").kill("SIGCONT");
      goOn();
      await untilAnswered();
    });

    test("bodies of many megabytes cross whole, and small requests are answered beside them", async () => {
      const { provider } = context;
      const gate = Promise.withResolvers<void>();
      const answer = openAiStream({ pieces: ["Read."], model: "large" });
      provider.script("large", { ...answer, parts: [gate.promise, ...(answer.parts ?? [])] });
      const content = "0123456789abcdef".repeat(1024 * 1024);
      const large = Array.from({ length: 3 }, () =>
        chat(target(), "large", { stream: true, messages: [{ role: "user", content }] }),
      );
      for (let count = 0; count < 20; count += 1) {
        assert.equal((await chat(target(), "m", { stream: true })).status, 200);
      }
      gate.resolve();
      for (const reply of await Promise.all(large)) {
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.content, "Read.");
      }
      for (const request of provider.requestsOf("large")) {
        const [message] = request.json["messages"] as readonly { readonly content: string }[];
        assert.equal(message?.content === content, true, "the body is as it was sent");
      }
    });
  },
);
