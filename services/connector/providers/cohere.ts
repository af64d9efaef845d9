import { createCohereCodec, createCohereEmbedCodec } from "#codec/cohere/cohere-codec.ts";
import { rerankForms } from "#codec/rerank/rerank-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ForwardedOperations, ProviderKind } from "./provider.ts";

const paths: ForwardedOperations = { [Operation.EMBED]: "/v2/embed", [Operation.RERANK]: "/v2/rerank" };

/** Cohere's v2 API. */
export function createCohereKind(): ProviderKind {
  return {
    chat: createCohereCodec(),
    embed: createCohereEmbedCodec(),
    rerank: rerankForms.cohere,
    hasFinalMarker: true,
    defaultBaseUrl: "https://api.cohere.com",
    path: (call) => paths[call.operation] ?? "/v2/chat",
    headers: (apiKey) => (apiKey === undefined ? [] : ["authorization", `Bearer ${apiKey}`]),
    // Usage is always reported.
    forwardEdits: (call) => ({ edits: new Map([["model", JSON.stringify(call.model)]]), stripUsage: false }),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
