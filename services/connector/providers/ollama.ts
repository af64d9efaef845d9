import { createOllamaCodec, createOllamaEmbedCodec } from "#codec/ollama/ollama-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { memberText } from "../request/edit-body.ts";
import { createOpenAiKind } from "./openai.ts";
import type { ProviderKind } from "./provider.ts";

/** Ollama by its own API; callers of OpenAI's dialect are forwarded to its door for that. */
export function createOllamaKind(): ProviderKind {
  const openAi = createOpenAiKind({
    defaultBaseUrl: "http://127.0.0.1:11434",
    maxTokensField: "max_tokens",
    extensions: true,
    streamOptions: true,
    completions: true,
    path: (_call, openAiPath) => `/v1${openAiPath}`,
  });
  return {
    chat: createOllamaCodec(),
    embed: createOllamaEmbedCodec(),
    alsoSpeaks: [openAi, ...(openAi.alsoSpeaks ?? [])],
    streamContentType: "application/x-ndjson",
    hasFinalMarker: true,
    defaultBaseUrl: openAi.defaultBaseUrl,
    path: (call) => (call.operation === Operation.EMBED ? "/api/embed" : "/api/chat"),
    headers: openAi.headers,
    // Usage is always reported.
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit(tokens, body) {
      const given: unknown = JSON.parse(memberText(body, "options") ?? "{}");
      const options = typeof given === "object" && given !== null ? given : {};
      return ["options", JSON.stringify({ ...options, num_predict: Number(tokens) })];
    },
  };
}
