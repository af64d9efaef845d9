import { create } from "@bufbuild/protobuf";
import {
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
  EmbedResponseSchema,
} from "#gen/penstock/chat/v1/embed_pb.ts";
import { CodecError, type EncodedRequest, type JsonObject, ProviderStreamError } from "../codec.ts";
import { isJsonArray, readInteger, readStrings, requireName, stringOrEmpty } from "../json/json-fields.ts";
import { asArray } from "../json/json-values.ts";
import { decodeUsage, encodeUsage } from "./map-usage.ts";

/** Reads a request for the vectors of one text or several. Throws CodecError. */
export function decodeEmbedRequest(body: JsonObject): EmbedRequest {
  const { input } = body;
  const inputs = typeof input === "string" ? [input] : readStrings(body, "input", "");
  if (inputs.length === 0) {
    throw new CodecError("input must not be empty", { param: "input", code: "empty_array" });
  }
  const dimensions = readInteger(body, "dimensions", "", { min: 1 });
  return create(EmbedRequestSchema, {
    model: requireName(body, "model", ""),
    inputs: [...inputs],
    ...(dimensions === undefined ? {} : { dimensions: Number(dimensions) }),
  });
}

/** Writes a request for vectors. */
export function encodeEmbedRequest(request: EmbedRequest, options: { readonly model: string }): EncodedRequest {
  return {
    body: {
      model: options.model,
      input: request.inputs,
      ...(request.dimensions === undefined ? {} : { dimensions: request.dimensions }),
    },
    dropped: request.endUserId === "" ? [] : ["user"],
  };
}

/** Reads the vectors. Throws CodecError for a body without any, ProviderStreamError for an error with status 200. */
export function decodeEmbedResponse(body: JsonObject): EmbedResponse {
  if ((body["error"] ?? undefined) !== undefined) {
    throw new ProviderStreamError(body);
  }
  const vectors = body["embeddings"];
  if (!isJsonArray(vectors)) {
    throw new CodecError("the answer has no embeddings", { param: "embeddings", code: "invalid_response" });
  }
  const usage = decodeUsage(body);
  return create(EmbedResponseSchema, {
    model: stringOrEmpty(body["model"]),
    embeddings: vectors.map((vector) => ({
      values: asArray(vector).map((value) => (typeof value === "number" ? value : 0)),
    })),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** Writes vectors as Ollama does. */
export function encodeEmbedResponse(response: EmbedResponse): JsonObject {
  const { prompt_eval_count: count } = encodeUsage(response.usage);
  return {
    model: response.model,
    embeddings: response.embeddings.map(({ values }) => values),
    ...(count === undefined ? {} : { prompt_eval_count: count }),
  };
}
