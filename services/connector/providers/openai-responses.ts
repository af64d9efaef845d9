import { createOpenAiResponsesCodec } from "#codec/openai-responses/openai-responses-codec.ts";
import type { ProviderKind } from "./provider.ts";

/** The least output limit that the Responses API takes, in tokens. */
const leastOutputTokens = 16n;

/** OpenAI's Responses API, at providers that have it beside chat completions. */
export function createOpenAiResponsesKind(defaultBaseUrl: string, headers: ProviderKind["headers"]): ProviderKind {
  return {
    chat: createOpenAiResponsesCodec(),
    hasFinalMarker: true,
    defaultBaseUrl,
    path: () => "/responses",
    headers,
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_output_tokens", String(tokens > leastOutputTokens ? tokens : leastOutputTokens)],
  };
}
