import { create } from "@bufbuild/protobuf";
import {
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
  EmbedResponseSchema,
} from "#gen/penstock/chat/v1/embed_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import {
  isJsonArray,
  isJsonObject,
  missing,
  readInteger,
  readString,
  requireObject,
  requireString,
  tokenCount,
  toJsonNumber,
} from "../json/json-fields.ts";
import { CodecError, type EncodedRequest, type Json, type JsonObject, ProviderStreamError } from "../codec.ts";
import { camelKeys, listOf } from "./google-json.ts";
import { decodeUsage } from "./map-usage.ts";

const PREFIX = "models/";

/**
 * Reads a batch, or the one text of embedContent. All requests of a batch must name the same model and length, because
 * other dialects have one of each.
 */
export function decodeEmbedRequest(body: JsonObject): EmbedRequest {
  const list = body["requests"] ?? (body["content"] === undefined ? undefined : [body]);
  if (list === undefined) {
    throw missing("requests");
  }
  const requests = listOf(list, "requests").map((value, index) => readOne(value, `requests[${index}]`));
  const [first] = requests;
  if (first === undefined) {
    throw new CodecError("requests must not be empty", { param: "requests", code: "empty_array" });
  }
  const odd = requests.findIndex(({ model, dimensions }) => model !== first.model || dimensions !== first.dimensions);
  if (odd !== -1) {
    throw new CodecError("all requests must name the same model and outputDimensionality", {
      param: `requests[${odd}]`,
      code: "unsupported_feature",
    });
  }
  return create(EmbedRequestSchema, {
    model: first.model,
    inputs: requests.map(({ text }) => text),
    ...(first.dimensions === undefined ? {} : { dimensions: Number(first.dimensions) }),
  });
}

/** Writes a batch, which repeats model and length in each of its requests. */
export function encodeEmbedRequest(request: EmbedRequest, options: { readonly model: string }): EncodedRequest {
  const model = options.model.startsWith(PREFIX) ? options.model : PREFIX + options.model;
  const requests = request.inputs.map((text) => ({
    model,
    content: { parts: [{ text }] },
    ...(request.dimensions === undefined ? {} : { outputDimensionality: request.dimensions }),
  }));
  return { body: { requests }, dropped: request.endUserId === "" ? [] : ["user"] };
}

/** Reads the vectors. The answer does not name its model, so `model` is empty. Throws CodecError for anything else. */
export function decodeEmbedResponse(body: JsonObject): EmbedResponse {
  if (isJsonObject(body["error"])) {
    throw new ProviderStreamError(body);
  }
  const list = body["embeddings"];
  if (!isJsonArray(list)) {
    throw new CodecError("the answer has no embeddings", { param: "embeddings", code: "invalid_response" });
  }
  const usage = readEmbedUsage(body);
  return create(EmbedResponseSchema, {
    embeddings: list.map((embedding, index) => ({ values: readValues(embedding, `embeddings[${index}].values`) })),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Writes the vectors: those of a batch, or with `form` as `single` the one of embedContent. */
export function encodeEmbedResponse(response: EmbedResponse, form = "batch"): JsonObject {
  const { usage } = response;
  const input = (usage?.uncachedInputTokens ?? 0n) + (usage?.cacheReadTokens ?? 0n);
  const vectors = response.embeddings.map(({ values }) => ({ values }));
  return {
    ...(form === "single" ? { embedding: vectors[0] ?? { values: [] } } : { embeddings: vectors }),
    ...(usage === undefined ? {} : { usageMetadata: { promptTokenCount: toJsonNumber(input) } }),
  };
}

/** Reads the usage of an answer; undefined from the many models that report none. */
export function readEmbedUsage(body: JsonObject): Usage | undefined {
  const usage = body["usageMetadata"];
  return isJsonObject(usage) && tokenCount(usage["promptTokenCount"]) > 0n ? decodeUsage(usage) : undefined;
}

function readOne(
  value: Json,
  path: string,
): { readonly model: string; readonly text: string; readonly dimensions: bigint | undefined } {
  const request = camelKeys(requireObject(value, path));
  const content = requireObject(request["content"], `${path}.content`);
  const parts = listOf(content["parts"] ?? [], `${path}.content.parts`).map((part, index) => {
    const place = `${path}.content.parts[${index}]`;
    return requireString(requireObject(part, place), "text", place);
  });
  if (parts.length === 0) {
    throw missing(`${path}.content.parts`);
  }
  const model = readString(request, "model", path) ?? "";
  return {
    model: model.startsWith(PREFIX) ? model.slice(PREFIX.length) : model,
    text: parts.join(""),
    dimensions: readInteger(request, "outputDimensionality", path, { min: 1 }),
  };
}

function readValues(embedding: Json, path: string): number[] {
  const values = isJsonObject(embedding) ? embedding["values"] : undefined;
  if (!isJsonArray(values)) {
    throw new CodecError(`${path} is not an array`, { param: path, code: "invalid_response" });
  }
  return values.map((value) => {
    if (typeof value !== "number") {
      throw new CodecError(`${path} holds something that is not a number`, { param: path, code: "invalid_response" });
    }
    return value;
  });
}
