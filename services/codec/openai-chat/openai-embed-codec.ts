import { create } from "@bufbuild/protobuf";
import {
  type Embedding,
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
  EmbedResponseSchema,
} from "#gen/penstock/chat/v1/embed_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import {
  CodecError,
  type EmbedCodec,
  type EncodedRequest,
  type Json,
  type JsonObject,
  ProviderStreamError,
} from "../codec.ts";
import { readEmbeddedError } from "./decode-response.ts";
import { isJsonArray } from "../json/json-fields.ts";
import { asIndex, asObject, asString, setDefined } from "../json/json-values.ts";
import { mapUsage } from "./map-usage.ts";
import {
  arrayTooLong,
  brokenRule,
  emptyArray,
  invalidType,
  invalidValue,
  missingParameter,
  unsupportedParameter,
} from "./request-errors.ts";

const MAX_INPUTS = 2048;
const ENCODINGS = ["float", "base64"];

/** The codec of OpenAI's embeddings. Beyond the interface, it can write vectors as base64. */
export interface OpenAiEmbedCodec extends EmbedCodec {
  /** Writes an answer; `encodingFormat` is what the request asked for, `float` when it did not. */
  encodeResponse(response: EmbedResponse, encodingFormat?: string): JsonObject;
}

/** Creates the codec of OpenAI's embeddings. */
export function createOpenAiEmbedCodec(): OpenAiEmbedCodec {
  return {
    dialect: Dialect.OPENAI_CHAT,
    decodeRequest: decodeEmbedRequest,
    encodeRequest: encodeEmbedRequest,
    decodeResponse: decodeEmbedResponse,
    encodeResponse: encodeEmbedResponse,
    readUsage: (body) => mapUsage(withCompletion(body["usage"])),
  };
}

function decodeEmbedRequest(body: JsonObject): EmbedRequest {
  const model = body["model"];
  if (model === undefined || model === "") {
    throw brokenRule("model", "you must provide a model parameter", "missing_required_parameter");
  }
  if (typeof model !== "string") {
    throw invalidType("model", "a string", model);
  }
  const dimensions = body["dimensions"] ?? undefined;
  if (dimensions !== undefined && (typeof dimensions !== "number" || !Number.isInteger(dimensions))) {
    throw invalidType("dimensions", "an integer", dimensions);
  }
  if (dimensions !== undefined && (dimensions < 1 || dimensions > 2 ** 31 - 1)) {
    throw brokenRule(
      "dimensions",
      `Invalid 'dimensions': ${dimensions} is out of range.`,
      dimensions < 1 ? "integer_below_min_value" : "integer_above_max_value",
    );
  }
  const encoding = body["encoding_format"] ?? undefined;
  if (encoding !== undefined && (typeof encoding !== "string" || !ENCODINGS.includes(encoding))) {
    throw typeof encoding === "string"
      ? invalidValue("encoding_format", encoding, ENCODINGS)
      : invalidType("encoding_format", "a string", encoding);
  }
  return create(EmbedRequestSchema, {
    model,
    inputs: decodeInputs(body["input"]),
    endUserId: asString(body["user"]),
    ...(dimensions === undefined ? {} : { dimensions }),
  });
}

function decodeInputs(input: Json | undefined): string[] {
  if (input === undefined) {
    throw missingParameter("input");
  }
  if (typeof input === "string") {
    return [input];
  }
  if (!isJsonArray(input)) {
    throw invalidType("input", "one of a string or array of strings", input);
  }
  if (input.length === 0) {
    throw emptyArray("input");
  }
  if (input.length > MAX_INPUTS) {
    throw arrayTooLong("input", MAX_INPUTS, input.length);
  }
  return input.map((entry, index) => {
    if (typeof entry === "number" || isJsonArray(entry)) {
      throw unsupportedParameter("input", "must be text for this model: tokens belong to one model's tokenizer");
    }
    if (typeof entry !== "string") {
      throw invalidType(`input[${index}]`, "a string", entry);
    }
    return entry;
  });
}

function encodeEmbedRequest(request: EmbedRequest, options: { readonly model: string }): EncodedRequest {
  // Base64 is a quarter of the bytes of decimal numbers, but compatible servers do not all know it.
  const body: Record<string, Json> = { model: options.model, input: request.inputs, encoding_format: "float" };
  setDefined(body, "dimensions", request.dimensions);
  setDefined(body, "user", request.endUserId || undefined);
  return { body, dropped: [] };
}

function decodeEmbedResponse(body: JsonObject): EmbedResponse {
  const error = readEmbeddedError(body);
  if (error !== undefined) {
    throw new ProviderStreamError(error);
  }
  const data = body["data"];
  if (!isJsonArray(data)) {
    throw new CodecError("the answer has no data", { param: "data", code: "missing_required_parameter" });
  }
  const entries = data.map((entry, position) => {
    const object = asObject(entry) ?? {};
    return { index: asIndex(object["index"]) ?? position, embedding: decodeVector(object["embedding"], position) };
  });
  const usage = mapUsage(withCompletion(body["usage"]));
  return create(EmbedResponseSchema, {
    model: asString(body["model"]),
    embeddings: entries.toSorted((a, b) => a.index - b.index).map((entry) => entry.embedding),
    ...(usage === undefined ? {} : { usage }),
  });
}

function decodeVector(value: Json | undefined, position: number): Embedding {
  const $typeName = "penstock.chat.v1.Embedding" as const;
  if (typeof value === "string") {
    const bytes = Buffer.from(value, "base64");
    const values = Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readFloatLE(index * 4));
    return { $typeName, values };
  }
  if (!isJsonArray(value) || !value.every((number) => typeof number === "number")) {
    const param = `data[${position}].embedding`;
    throw new CodecError(`the answer's ${param} is not a list of numbers`, { param, code: "invalid_type" });
  }
  return { $typeName, values: [...value] };
}

function encodeEmbedResponse(response: EmbedResponse, encodingFormat = "float"): JsonObject {
  const prompt = Number((response.usage?.uncachedInputTokens ?? 0n) + (response.usage?.cacheReadTokens ?? 0n));
  return {
    object: "list",
    data: response.embeddings.map(({ values }, index) => ({
      object: "embedding",
      index,
      embedding: encodingFormat === "base64" ? encodeBase64(values) : values,
    })),
    model: response.model,
    usage: { prompt_tokens: prompt, total_tokens: prompt },
  };
}

function encodeBase64(values: readonly number[]): string {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) {
    bytes.writeFloatLE(value, index * 4);
  }
  return bytes.toString("base64");
}

// Embeddings have no output, and some servers count all they used as the total only.
function withCompletion(usage: Json | undefined): Json | undefined {
  const object = asObject(usage);
  return object && { prompt_tokens: object["prompt_tokens"] ?? object["total_tokens"], completion_tokens: 0 };
}
