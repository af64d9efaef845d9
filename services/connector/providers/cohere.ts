import { createCohereCodec, createCohereEmbedCodec } from "#codec/cohere/cohere-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ProviderKind } from "./provider.ts";

/** Cohere's v2 API. */
export function createCohereKind(): ProviderKind {
  return {
    chat: createCohereCodec(),
    embed: createCohereEmbedCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: "https://api.cohere.com",
    path: (call) => (call.operation === Operation.EMBED ? "/v2/embed" : "/v2/chat"),
    headers: (apiKey) => (apiKey === undefined ? [] : ["authorization", `Bearer ${apiKey}`]),
    // Usage is always reported.
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
