import { create } from "@bufbuild/protobuf";
import {
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
  EmbedResponseSchema,
} from "#gen/penstock/chat/v1/embed_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EncodedRequest, type Json, type JsonObject, ProviderStreamError } from "../codec.ts";
import {
  isJsonArray,
  isJsonObject,
  missing,
  readArray,
  readInteger,
  readStrings,
  requireName,
  toJsonNumber,
  unsupported,
} from "../json/json-fields.ts";
import { decodeUsage } from "./map-usage.ts";

/** The most texts that Cohere takes at once. */
const MOST_TEXTS = 96;

/** Reads a request for the vectors of texts. What they are for, `input_type`, other dialects cannot say. */
export function decodeEmbedRequest(body: JsonObject): EmbedRequest {
  const model = requireName(body, "model", "");
  for (const field of ["images", "inputs"]) {
    if ((readArray(body, field, "") ?? []).length > 0) {
      throw unsupported(field, "are only available from Cohere itself");
    }
  }
  const texts = readStrings(body, "texts", "");
  if (texts.length === 0) {
    throw missing("texts");
  }
  const odd = readStrings(body, "embedding_types", "").find((type) => type !== "float");
  if (odd !== undefined) {
    throw unsupported("embedding_types", `holds ${odd}: only float is available from other providers`);
  }
  const dimensions = readInteger(body, "output_dimension", "", { min: 1, max: 2 ** 31 - 1 });
  return create(EmbedRequestSchema, {
    model,
    inputs: [...texts],
    ...(dimensions === undefined ? {} : { dimensions: Number(dimensions) }),
  });
}

/**
 * Writes a request for vectors. Other dialects do not say what they are for, and texts that are searched are by far the
 * most. Throws CodecError (`array_above_max_length`) for more texts than Cohere takes at once.
 */
export function encodeEmbedRequest(request: EmbedRequest, options: { readonly model: string }): EncodedRequest {
  if (request.inputs.length > MOST_TEXTS) {
    throw new CodecError(`input must have at most ${MOST_TEXTS} texts for Cohere`, {
      param: "input",
      code: "array_above_max_length",
    });
  }
  return {
    body: {
      model: options.model,
      texts: request.inputs,
      input_type: "search_document",
      embedding_types: ["float"],
      ...(request.dimensions === undefined ? {} : { output_dimension: request.dimensions }),
    },
    dropped: request.endUserId === "" ? [] : ["user"],
  };
}

/** Reads the vectors. The answer does not name its model, so `model` is empty. Throws CodecError for anything else. */
export function decodeEmbedResponse(body: JsonObject): EmbedResponse {
  if (typeof body["message"] === "string" || (body["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(body);
  }
  const embeddings = body["embeddings"];
  const list = isJsonObject(embeddings) ? embeddings["float"] : undefined;
  if (!isJsonArray(list)) {
    throw new CodecError("the answer has no embeddings", { param: "embeddings.float", code: "invalid_response" });
  }
  const usage = readEmbedUsage(body);
  return create(EmbedResponseSchema, {
    embeddings: list.map((vector, index) => ({ values: readValues(vector, `embeddings.float[${index}]`) })),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Writes the vectors. The answer has no id: the intermediate form has none. */
export function encodeEmbedResponse(response: EmbedResponse): JsonObject {
  const { usage } = response;
  const input = (usage?.uncachedInputTokens ?? 0n) + (usage?.cacheReadTokens ?? 0n);
  return {
    id: "",
    embeddings: { float: response.embeddings.map(({ values }) => values) },
    meta: {
      api_version: { version: "2" },
      ...(usage === undefined ? {} : { billed_units: { input_tokens: toJsonNumber(input) } }),
    },
    response_type: "embeddings_by_type",
  };
}

/** Reads the usage of an answer; undefined when it reports none. */
export function readEmbedUsage(body: JsonObject): Usage | undefined {
  return decodeUsage(body["meta"]);
}

function readValues(vector: Json, path: string): number[] {
  if (!isJsonArray(vector)) {
    throw new CodecError(`${path} is not an array`, { param: path, code: "invalid_response" });
  }
  return vector.map((value) => {
    if (typeof value !== "number") {
      throw new CodecError(`${path} holds something that is not a number`, { param: path, code: "invalid_response" });
    }
    return value;
  });
}
