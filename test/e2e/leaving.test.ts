import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ChatRequestSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { GatewayService } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { beginChat } from "../harness/call-gateway.ts";
import type { ProviderRequest, ScriptedAnswer } from "../harness/fake-provider.ts";
import { goodAnswer, silent } from "../harness/provider-answers.ts";
import { withKey } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";

/** An answer of which the first half is sent, and then nothing more. */
const half = (request: ProviderRequest): ScriptedAnswer => {
  const whole = goodAnswer(request, { text: "first second third" });
  const parts = whole.parts ?? [];
  if (parts.length > 1) {
    return { ...whole, parts: parts.slice(0, Math.ceil(parts.length / 2)), ending: "stall" };
  }
  return { ...whole, parts: [JSON.stringify({ id: "half of a document" }).slice(0, -2)], ending: "stall" };
};

const phases = [
  { name: "waits for the first token of a stream", stream: true, answer: silent, text: undefined },
  { name: "is in the middle of a stream", stream: true, answer: half, text: "first" },
  { name: "waits for a whole answer", stream: false, answer: silent, text: undefined },
  { name: "waits for the rest of a whole answer", stream: false, answer: half, text: undefined },
] as const;

inBothModes(
  "a caller that leaves",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  claude: { kind: anthropic, base_url: "${url}", api_key: none }
models:
  forwarded: { route: [{ target: fake/one }] }
  translated: { route: [{ target: claude/two }] }
  second: { route: [{ target: fake/bad }], fallback: [forwarded] }
prices:
  overrides:
    fake/one: { input: $1/M, output: $1/M }
    fake/bad: { input: $1/M, output: $1/M }
    claude/two: { input: $1/M, output: $1/M }
`,
  (context) => {
    async function hasSettled(keyId: string, spentNanosUsd: bigint): Promise<void> {
      await waitUntil(
        async () => (await context.gateway.getKey(keyId)).heldNanosUsd === 0n,
        () => "the hold to be settled",
      );
      assert.equal(
        (await context.gateway.getKey(keyId)).spentNanosUsd,
        spentNanosUsd,
        "what was spent is what the row says",
      );
    }

    async function closesUpstream(request: ProviderRequest, leftAt: number, current: TestContext): Promise<void> {
      const closed = await context.provider.waitForClose(request);
      assert.equal(closed.closedBy, "peer");
      const ms = (closed.closedAt ?? Number.POSITIVE_INFINITY) - leftAt;
      assert.ok(ms < 1_000, `the provider's socket was closed after ${ms} ms`);
      current.diagnostic(`${context.mode}: the provider's socket was closed after ${ms.toFixed(1)} ms`);
    }

    for (const model of ["forwarded", "translated"] as const) {
      for (const { name, stream, answer, text } of phases) {
        test(`${name} (${model}): the provider's socket is closed, the hold settled, the row says so`, async (current) => {
          const { gateway, provider } = context;
          const target = model === "forwarded" ? "one" : "two";
          provider.script(target, answer);
          const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
          const number = provider.requestsOf(target).length + 1;
          const call = beginChat({ url: gateway.url, key: secret }, model, { stream, max_tokens: 100 });
          const request = await provider.waitForRequestOf(target, number);
          if (text !== undefined) {
            await call.waitForText(text);
          } else {
            await waitUntil(
              () => answer === silent || request.bytesSent > 0,
              () => "the provider to have begun",
            );
          }
          const leftAt = performance.now();
          call.leave();
          await closesUpstream(request, leftAt, current);
          const [row, ...others] = await gateway
            .waitForLedger((rows) => rows.some((row) => row.keyId === key.id))
            .then((rows) => rows.filter((each) => each.keyId === key.id));
          assert.equal(others.length, 0);
          assert.deepEqual(
            [row?.outcome, row?.errorReason, row?.final],
            [Outcome.CLIENT_CLOSED, ErrorReason.CLIENT_CLOSED, true],
          );
          assert.ok((row?.costNanosUsd ?? 0n) > 0n, "the provider may have billed, so it is counted");
          await hasSettled(key.id, row?.costNanosUsd ?? -1n);
        });
      }
    }

    test("one that leaves during the second attempt ends that one, and the first stays in the ledger", async (current) => {
      const { gateway, provider } = context;
      provider.script("bad", { status: 500, parts: ["{}"] });
      provider.script("one", silent);
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      const number = provider.requestsOf("one").length + 1;
      const call = beginChat({ url: gateway.url, key: secret }, "second", { max_tokens: 100 });
      const request = await provider.waitForRequestOf("one", number);
      const leftAt = performance.now();
      call.leave();
      await closesUpstream(request, leftAt, current);
      const rows = await gateway.waitForLedger((all) => all.some((row) => row.keyId === key.id && row.final));
      const own = rows.filter((row) => row.keyId === key.id);
      assert.deepEqual(
        own.map((row) => [row.attemptIndex, row.outcome]),
        [
          [0, Outcome.FAILED],
          [1, Outcome.CLIENT_CLOSED],
        ],
      );
      await hasSettled(
        key.id,
        own.reduce((sum, row) => sum + row.costNanosUsd, 0n),
      );
    });

    test("many that leave at once leave no socket and no hold behind", async () => {
      const { gateway, provider } = context;
      provider.script("one", silent);
      const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      const before = provider.requestsOf("one").length;
      const calls = Array.from({ length: 50 }, (_, index) =>
        beginChat({ url: gateway.url, key: secret }, "forwarded", { stream: index % 2 === 0, max_tokens: 10 }),
      );
      await provider.waitForRequestOf("one", before + calls.length);
      const requests = provider.requestsOf("one").slice(before);
      for (const call of calls) {
        call.leave();
      }
      for (const request of requests) {
        assert.equal((await provider.waitForClose(request)).closedBy, "peer");
      }
      const rows = await gateway.waitForLedger(
        (all) => all.filter((row) => row.keyId === key.id).length === calls.length,
      );
      const own = rows.filter((row) => row.keyId === key.id);
      assert.ok(own.every((row) => row.outcome === Outcome.CLIENT_CLOSED));
      await hasSettled(
        key.id,
        own.reduce((sum, row) => sum + row.costNanosUsd, 0n),
      );
    });

    for (const protocol of ["Connect", "gRPC"] as const) {
      for (const { name, stream, answer } of phases.slice(0, 3)) {
        test(`one of ${protocol} that aborts while it ${name} closes the provider's socket`, async (current) => {
          const { gateway, provider } = context;
          provider.script("one", answer);
          const { secret, key } = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
          const options = { baseUrl: gateway.url, interceptors: [withKey(secret)] };
          const client = createClient(
            GatewayService,
            protocol === "gRPC"
              ? createGrpcTransport(options)
              : createConnectTransport({ ...options, httpVersion: "1.1" }),
          );
          const number = provider.requestsOf("one").length + 1;
          const controller = new AbortController();
          const ended = call(client, stream, controller.signal);
          const request = await provider.waitForRequestOf("one", number);
          await waitUntil(
            () => answer === silent || request.bytesSent > 0,
            () => "the provider to have begun",
          );
          const leftAt = performance.now();
          controller.abort();
          await assert.rejects(ended);
          await closesUpstream(request, leftAt, current);
          const rows = await gateway.waitForLedger((all) => all.some((row) => row.keyId === key.id));
          assert.equal(rows.find((row) => row.keyId === key.id)?.outcome, Outcome.CLIENT_CLOSED);
        });
      }
    }
  },
);

async function call(client: Client<typeof GatewayService>, stream: boolean, signal: AbortSignal): Promise<void> {
  const chat = create(ChatRequestSchema, {
    model: "forwarded",
    maxOutputTokens: 100n,
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: { text: "Hi" } } }] }],
  });
  if (!stream) {
    await client.generateChat({ chat }, { signal });
    return;
  }
  for await (const response of client.streamChat({ chat }, { signal })) {
    assert.ok(response.events.length > 0);
  }
}
