import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import { createAnthropicCountCodec } from "#codec/count-tokens/count-tokens-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ProviderKind } from "./provider.ts";

/** Anthropic's Messages API. */
export function createAnthropicKind(): ProviderKind {
  return {
    chat: createAnthropicMessagesCodec(),
    countTokens: createAnthropicCountCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: "https://api.anthropic.com",
    path: (call) => (call.operation === Operation.COUNT_TOKENS ? "/v1/messages/count_tokens" : "/v1/messages"),
    headers: (apiKey) => ["anthropic-version", "2023-06-01", ...(apiKey === undefined ? [] : ["x-api-key", apiKey])],
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
