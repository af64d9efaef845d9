import { createGeminiCodec, createGeminiEmbedCodec } from "#codec/gemini/gemini-codec.ts";
import { createGeminiCountCodec } from "#codec/count-tokens/count-tokens-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { type BodyEdits, memberText } from "../request/edit-body.ts";
import type { ProviderCall, ProviderKind } from "./provider.ts";

/** Google's Gemini API, with an API key. */
export function createGeminiKind(): ProviderKind {
  return {
    chat: createGeminiCodec(),
    embed: createGeminiEmbedCodec(),
    countTokens: createGeminiCountCodec({ wrapped: true }),
    hasFinalMarker: false,
    defaultBaseUrl: "https://generativelanguage.googleapis.com/v1beta",
    path: (call) => `/models/${encodeURIComponent(call.model)}:${methodOf(call)}`,
    headers: (apiKey) => (apiKey === undefined ? [] : ["x-goog-api-key", apiKey]),
    // The model is in the path, and usage is always reported. Some bodies repeat the model, which has to be the same.
    forwardEdits: (call, body) => ({ edits: repeatedModelEdits(call, body), stripUsage: false }),
    outputLimitEdit(tokens, body) {
      const given: unknown = JSON.parse(memberText(body, "generationConfig") ?? "{}");
      const config = typeof given === "object" && given !== null ? given : {};
      return ["generationConfig", JSON.stringify({ ...config, maxOutputTokens: Number(tokens) })];
    },
  };
}

/** The members that name the model beside the path, with the provider's own name of it. */
function repeatedModelEdits(call: ProviderCall, body: Uint8Array): BodyEdits {
  const model = `models/${call.model}`;
  switch (call.operation) {
    case Operation.EMBED: {
      if (call.single === true) {
        return memberText(body, "model") === undefined ? noEdits : new Map([["model", JSON.stringify(model)]]);
      }
      const requests: unknown = JSON.parse(memberText(body, "requests") ?? "[]");
      if (!Array.isArray(requests) || requests.every((request) => modelIn(request) === model)) {
        return noEdits;
      }
      const renamed = requests.map((request: unknown) => (isObject(request) ? { ...request, model } : request));
      return new Map([["requests", JSON.stringify(renamed)]]);
    }
    case Operation.COUNT_TOKENS: {
      for (const name of ["generateContentRequest", "generate_content_request"]) {
        const question: unknown = JSON.parse(memberText(body, name) ?? "null");
        if (isObject(question)) {
          return new Map([[name, JSON.stringify({ ...question, model })]]);
        }
      }
      return noEdits;
    }
    default:
      return noEdits;
  }
}

const noEdits: BodyEdits = new Map();

function modelIn(request: unknown): unknown {
  return isObject(request) ? request["model"] : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function methodOf(call: ProviderCall): string {
  if (call.operation === Operation.EMBED) {
    return call.single === true ? "embedContent" : "batchEmbedContents";
  }
  if (call.operation === Operation.COUNT_TOKENS) {
    return "countTokens";
  }
  return call.stream ? "streamGenerateContent?alt=sse" : "generateContent";
}
