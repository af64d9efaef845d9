import { createCohereCodec } from "#codec/cohere/cohere-codec.ts";
import type { ProviderKind } from "./provider.ts";

/** Cohere's v2 API. */
export function createCohereKind(): ProviderKind {
  return {
    chat: createCohereCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: "https://api.cohere.com",
    path: () => "/v2/chat",
    headers: (apiKey) => (apiKey === undefined ? [] : ["authorization", `Bearer ${apiKey}`]),
    // Usage is always reported.
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
