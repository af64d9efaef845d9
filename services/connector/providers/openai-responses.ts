import { createOpenAiResponsesCodec } from "#codec/openai-responses/openai-responses-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ForwardedOperations, ProviderKind } from "./provider.ts";

/** The least output limit that the Responses API takes, in tokens. */
const leastOutputTokens = 16n;

/** What can be asked of a response that is stored. Servers that lack one of these answer 404, as for an unknown response. */
const stored: ForwardedOperations = {
  [Operation.GET_RESPONSE]: "/responses",
  [Operation.DELETE_RESPONSE]: "/responses",
  [Operation.CANCEL_RESPONSE]: "/responses",
  [Operation.LIST_RESPONSE_INPUT]: "/responses",
};

/** OpenAI's Responses API, at providers that have it beside chat completions. */
export function createOpenAiResponsesKind(defaultBaseUrl: string, headers: ProviderKind["headers"]): ProviderKind {
  return {
    chat: createOpenAiResponsesCodec(),
    operations: stored,
    hasFinalMarker: true,
    defaultBaseUrl,
    path: () => "/responses",
    headers,
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_output_tokens", String(tokens > leastOutputTokens ? tokens : leastOutputTokens)],
  };
}
