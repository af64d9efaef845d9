import { create } from "@bufbuild/protobuf";
import { type EmbedResponse, EmbedResponseSchema } from "#gen/penstock/chat/v1/embed_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { type Usage, UsageSchema } from "#gen/penstock/type/v1/usage_pb.ts";
import { CodecError, type EmbedCodec, type JsonObject, ProviderStreamError } from "../codec.ts";
import { createGeminiEmbedCodec } from "../gemini/gemini-codec.ts";
import { isJsonArray, tokenCount, unsupported } from "../json/json-fields.ts";
import { asArray, asNumber, asObject } from "../json/json-values.ts";

/**
 * Creates the codec of Vertex's `predict` for models that embed texts. Nobody calls the gateway in this form, so it has
 * no dialect, and only requests are written and answers read.
 */
export function createPredictEmbedCodec(): EmbedCodec {
  return {
    ...createGeminiEmbedCodec(),
    dialect: Dialect.UNSPECIFIED,
    decodeRequest() {
      throw unsupported("instances", "are not taken by the gateway itself");
    },
    encodeRequest(request) {
      const parameters = request.dimensions === undefined ? {} : { outputDimensionality: request.dimensions };
      return {
        body: {
          instances: request.inputs.map((content) => ({ content })),
          // A text that is too long is refused, as others do, and not cut without a word.
          parameters: { autoTruncate: false, ...parameters },
        },
        dropped: request.endUserId === "" ? [] : ["user"],
      };
    },
    decodeResponse,
    readUsage,
  };
}

/** The answer does not name its model, so `model` is empty. */
function decodeResponse(body: JsonObject): EmbedResponse {
  if (asObject(body["error"]) !== undefined) {
    throw new ProviderStreamError(body);
  }
  const predictions = body["predictions"];
  if (!isJsonArray(predictions)) {
    throw new CodecError("the answer has no predictions", { param: "predictions", code: "invalid_response" });
  }
  const usage = readUsage(body);
  return create(EmbedResponseSchema, {
    embeddings: predictions.map((prediction) => ({
      values: asArray(asObject(asObject(prediction)?.["embeddings"])?.["values"]).map((value) => asNumber(value) ?? 0),
    })),
    ...(usage === undefined ? {} : { usage }),
  });
}

/** The tokens of all texts; undefined where not every one is counted. */
function readUsage(body: JsonObject): Usage | undefined {
  let total = 0n;
  for (const prediction of asArray(body["predictions"])) {
    const statistics = asObject(asObject(asObject(prediction)?.["embeddings"])?.["statistics"]);
    if (statistics?.["token_count"] === undefined) {
      return undefined;
    }
    total += tokenCount(statistics["token_count"]);
  }
  return create(UsageSchema, { uncachedInputTokens: total });
}
