import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FakeProvider } from "../harness/fake-provider.ts";
import { readRecordings } from "../harness/recordings.ts";
import { startReplayProvider } from "../harness/replay-provider.ts";
import { type Gateway, startGateway } from "../harness/start-gateway.ts";
import { type ClientCall, recordingClients } from "./recording-clients.ts";

const recordings = readRecordings([
  "openai/chat.completions",
  "anthropic/messages",
  "gemini/generateContent",
  "gemini/streamGenerateContent",
])?.filter(({ kind }) => kind !== "error");

// OpenAI's recordings are chat completions, so callers of the Responses API are translated to them as by a compatible one.
const config = ({ url }: FakeProvider): string => `
providers:
  openai: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  anthropic: { kind: anthropic, base_url: "${url}", api_key: none }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: none }
`;

/** Answers with calls that are not the client's, or whose arguments the recording does not name in one piece. */
const otherCalls: readonly string[] = [
  "resp:server-tool",
  "req:builtin-tools",
  "finish=function_call",
  "quirk:functionCall-without-args",
];

if (recordings === undefined) {
  test("real clients read what was recorded at providers", { skip: "recordings not found" }, () => undefined);
} else {
  describe("real clients read what was recorded at providers", () => {
    let provider: FakeProvider;
    let gateway: Gateway;
    before(async () => {
      provider = await startReplayProvider(recordings);
      gateway = await startGateway({ mode: "embedded", config: config(provider) });
    });
    after(async () => {
      await gateway?.stop();
      await provider?.close();
    });

    for (const [name, read] of recordingClients) {
      test(`${name}, each as it was recorded`, async () => {
        const problems: string[] = [];
        for (const recording of recordings) {
          const model = `${recording.provider}/${recording.id}`;
          const target = { url: gateway.url, key: gateway.virtualKey };
          try {
            const { text, calls } = await read(target, model, recording.kind === "stream");
            const { text: said, refusal } = recording.derived;
            // LangChain tells nobody of a refusal.
            assert.equal(text, refusal !== undefined && name === "@langchain/openai" ? "" : (said ?? refusal ?? ""));
            if (!otherCalls.some((feature) => recording.features.includes(feature))) {
              assert.deepEqual(calls, (recording.derived.tool_calls ?? []) as readonly ClientCall[]);
            }
          } catch (error) {
            problems.push(`${recording.id}: ${String(error)}`);
          }
        }
        assert.deepEqual(problems, []);
      });
    }
  });
}
