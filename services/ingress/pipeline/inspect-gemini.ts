import type { Buffer } from "node:buffer";
import { CodecError, type Json, type JsonObject } from "#codec/codec.ts";
import { tokensOfReference } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody } from "./parse-body.ts";

/** What the path of a Gemini request says. */
export interface GeminiCall {
  readonly model: string;
  readonly stream: boolean;
}

/**
 * Reads and checks a generateContent request. Throws CodecError for what Google would refuse whatever the model. Fields
 * count in camelCase and in snake_case, as Google takes both.
 */
export function inspectGeminiGenerate(bytes: Buffer, call: GeminiCall): Inspection {
  const body = parseBody(bytes);
  const contents = body["contents"];
  if (contents === undefined || (Array.isArray(contents) && contents.length === 0)) {
    throw new CodecError("* GenerateContentRequest.contents: contents is not specified", {
      code: "missing_required_parameter",
      param: "contents",
    });
  }
  refuseCache(body);
  const config = objectOf(body["generationConfig"] ?? body["generation_config"]);
  const limit = countOf(config, "maxOutputTokens", "max_output_tokens");
  return {
    ...call,
    inputTokenBound: BigInt(bytes.length) + referencesIn(contents),
    outputTokenLimit: limit,
    candidates: countOf(config, "candidateCount", "candidate_count") ?? 1n,
  };
}

/**
 * What Google keeps in a cache is of the operator's account, which tenants share, and the body of a request that goes on
 * with it says nothing of how much the model will read.
 */
function refuseCache(body: JsonObject): void {
  if ((body["cachedContent"] ?? body["cached_content"] ?? undefined) !== undefined) {
    throw new CodecError("cachedContent is not supported by this gateway", {
      code: "unsupported_parameter",
      param: "cachedContent",
    });
  }
}

/** Reads and checks an embedContent request. Throws CodecError when it has nothing to embed. */
export function inspectGeminiEmbedOne(bytes: Buffer, call: GeminiCall): Inspection {
  const { content } = parseBody(bytes);
  if (typeof content !== "object" || content === null) {
    throw new CodecError("* EmbedContentRequest.content: contents is not specified", {
      code: "missing_required_parameter",
      param: "content",
    });
  }
  return { ...call, inputTokenBound: BigInt(bytes.length), outputTokenLimit: 0n, candidates: 1n };
}

/** Reads and checks a countTokens request. Throws CodecError when it has nothing to count. */
export function inspectGeminiCount(bytes: Buffer, call: GeminiCall): Inspection {
  const body = parseBody(bytes);
  const question = objectOf(body["generateContentRequest"] ?? body["generate_content_request"] ?? body);
  if (question["contents"] === undefined) {
    throw new CodecError("* CountTokensRequest.contents: contents is not specified", {
      code: "missing_required_parameter",
      param: "contents",
    });
  }
  return { ...call, inputTokenBound: BigInt(bytes.length), outputTokenLimit: 0n, candidates: 1n };
}

/** Reads and checks a batchEmbedContents request. Throws CodecError when it has nothing to embed. */
export function inspectGeminiEmbed(bytes: Buffer, call: GeminiCall): Inspection {
  const body = parseBody(bytes);
  const { requests } = body;
  if (!Array.isArray(requests) || requests.length === 0) {
    throw new CodecError("* BatchEmbedContentsRequest.requests: at least one request is required", {
      code: "missing_required_parameter",
      param: "requests",
    });
  }
  return { ...call, inputTokenBound: BigInt(bytes.length), outputTokenLimit: 0n, candidates: 1n };
}

function objectOf(value: Json | undefined): JsonObject {
  if (value === undefined || value === null) {
    return {};
  }
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new CodecError("generation_config must be an object", { code: "invalid_type", param: "generationConfig" });
  }
  // Neither null nor an array, as checked above.
  return value as JsonObject;
}

function countOf(config: JsonObject, camel: string, snake: string): bigint | undefined {
  const value = config[camel] ?? config[snake];
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1) {
    throw new CodecError(`generation_config.${snake} must be a positive integer`, {
      code: "invalid_value",
      param: `generationConfig.${camel}`,
    });
  }
  return BigInt(value);
}

/** Parts that only name a file by its address. */
function referencesIn(contents: Json): bigint {
  let sum = 0n;
  for (const content of Array.isArray(contents) ? (contents as readonly Json[]) : [contents]) {
    const parts = typeof content === "object" && content !== null && "parts" in content ? content["parts"] : undefined;
    for (const part of Array.isArray(parts) ? (parts as readonly Json[]) : []) {
      if (typeof part === "object" && part !== null && ("fileData" in part || "file_data" in part)) {
        sum += tokensOfReference.file;
      }
    }
  }
  return sum;
}
