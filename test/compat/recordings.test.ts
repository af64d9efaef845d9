import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import { type Recording, readRecordings } from "../harness/recordings.ts";
import { startReplayProvider } from "../harness/replay-provider.ts";
import { type Gateway, startGateway } from "../harness/start-gateway.ts";

const recordings = readRecordings([
  "openai/chat.completions",
  "openai/embeddings",
  "anthropic/messages",
  "gemini/generateContent",
  "gemini/streamGenerateContent",
  "gemini/batchEmbedContents",
]);

const config = ({ url }: FakeProvider, errors: readonly Recording[]): string => `
providers:
  openai: { kind: openai, base_url: "${url}/v1", api_key: none }
  anthropic: { kind: anthropic, base_url: "${url}", api_key: none }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: none }
models:
  # Providers ask for pauses of minutes; here an error is an error.
${errors.map(({ id, provider }) => `  ${id}: { route: [{ target: ${provider}/${id} }], retry: { attempts: 1 } }`).join("\n")}
`;

if (recordings === undefined) {
  test("OpenAI's client reads what was recorded at providers", { skip: "recordings not found" }, () => undefined);
} else {
  for (const mode of ["embedded", "mesh"] as const) {
    describe(`OpenAI's client reads what was recorded at providers (${mode})`, () => {
      let provider: FakeProvider;
      let gateway: Gateway;
      let client: OpenAI;
      const errors = recordings.filter((recording) => recording.kind === "error");
      before(async () => {
        provider = await startReplayProvider(recordings);
        gateway = await startGateway({ mode, config: config(provider, errors) });
        client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.virtualKey, maxRetries: 0 });
      });
      after(async () => {
        await gateway?.stop();
        await provider?.close();
      });

      for (const recording of recordings) {
        test(`${recording.kind} ${recording.id}`, async () => {
          const model = `${recording.provider}/${recording.id}`;
          if (recording.kind === "error") {
            await readsError(client, recording);
          } else if (isEmbedding(recording)) {
            const { data } = await client.embeddings.create({ model, input: "x" });
            assert.ok((data[0]?.embedding.length ?? 0) > 0);
          } else {
            readsAs(recording, await readAnswer(client, model, recording.kind === "stream"));
          }
        });
      }

      test("the ledger has one row with usage for each of these answers", async () => {
        const answered = recordings.filter((recording) => recording.kind !== "error");
        const succeeded = (rows: readonly UsageEvent[]): readonly UsageEvent[] =>
          rows.filter((row) => row.outcome === Outcome.SUCCEEDED);
        const rows = await gateway.waitForLedger((all) => succeeded(all).length >= answered.length);
        assert.deepEqual(
          succeeded(rows)
            .map((row) => row.model)
            .toSorted(),
          answered.map((recording) => recording.id).toSorted(),
        );
        for (const row of succeeded(rows)) {
          const { uncachedInputTokens = 0n, cacheReadTokens = 0n, outputTokens = 0n } = row.usage ?? {};
          assert.ok(uncachedInputTokens + cacheReadTokens + outputTokens > 0n, row.model);
        }
      });
    });
  }
}

function isEmbedding({ api }: Recording): boolean {
  return api === "embeddings" || api === "batchEmbedContents";
}

function readAnswer(client: OpenAI, model: string, stream: boolean): Promise<OpenAI.ChatCompletion> {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "x" }];
  return stream
    ? client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } }).finalChatCompletion()
    : client.chat.completions.create({ model, messages });
}

/**
 * Answers whose calls are not the client's, those of tools that the provider runs and of the oldest API, and those whose
 * arguments the recording does not name in one piece.
 */
const otherCalls: readonly string[] = [
  "resp:server-tool",
  "req:builtin-tools",
  "finish=function_call",
  "quirk:functionCall-without-args",
];

function readsAs(recording: Recording, completion: OpenAI.ChatCompletion): void {
  const [choice] = completion.choices;
  assert.ok(choice !== undefined);
  assert.notEqual(choice.finish_reason, null);
  assert.equal(choice.message.content ?? "", recording.derived.text ?? "");
  if (!otherCalls.some((feature) => recording.features.includes(feature))) {
    const calls = (choice.message.tool_calls ?? []).map((call) =>
      call.type === "function"
        ? { name: call.function.name, arguments: JSON.parse(call.function.arguments || "{}") }
        : call,
    );
    assert.deepEqual(calls, recording.derived.tool_calls ?? []);
  }
  if (recording.derived.usage !== undefined) {
    assert.ok((completion.usage?.completion_tokens ?? 0) > 0);
  }
}

async function readsError(client: OpenAI, recording: Recording): Promise<void> {
  const model = recording.id;
  const call = isEmbedding(recording)
    ? client.embeddings.create({ model, input: "x" })
    : client.chat.completions.create({ model, messages: [{ role: "user", content: "x" }] });
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.ok((error.status ?? 0) >= 400);
    assert.notEqual(error.headers?.get("x-should-retry") ?? null, null);
    return true;
  });
}
