import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import type { ProviderKind } from "./provider.ts";

/** Anthropic's Messages API. */
export function createAnthropicKind(): ProviderKind {
  return {
    chat: createAnthropicMessagesCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: "https://api.anthropic.com",
    path: () => "/v1/messages",
    headers: (apiKey) => ["anthropic-version", "2023-06-01", ...(apiKey === undefined ? [] : ["x-api-key", apiKey])],
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
