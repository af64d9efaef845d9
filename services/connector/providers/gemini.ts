import { createGeminiCodec, createGeminiEmbedCodec } from "#codec/gemini/gemini-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { memberText } from "../request/edit-body.ts";
import type { ProviderCall, ProviderKind } from "./provider.ts";

/** Google's Gemini API, with an API key. */
export function createGeminiKind(): ProviderKind {
  return {
    chat: createGeminiCodec(),
    embed: createGeminiEmbedCodec(),
    hasFinalMarker: false,
    defaultBaseUrl: "https://generativelanguage.googleapis.com/v1beta",
    path: (call) => `/models/${encodeURIComponent(call.model)}:${methodOf(call)}`,
    headers: (apiKey) => (apiKey === undefined ? [] : ["x-goog-api-key", apiKey]),
    // The model is in the path, and usage is always reported.
    forwardEdits: () => ({ edits: new Map(), stripUsage: false }),
    outputLimitEdit(tokens, body) {
      const given: unknown = JSON.parse(memberText(body, "generationConfig") ?? "{}");
      const config = typeof given === "object" && given !== null ? given : {};
      return ["generationConfig", JSON.stringify({ ...config, maxOutputTokens: Number(tokens) })];
    },
  };
}

function methodOf(call: ProviderCall): string {
  if (call.operation === Operation.EMBED) {
    return "batchEmbedContents";
  }
  return call.stream ? "streamGenerateContent?alt=sse" : "generateContent";
}
