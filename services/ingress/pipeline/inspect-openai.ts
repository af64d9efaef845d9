import type { Buffer } from "node:buffer";
import { isUtf8 } from "node:buffer";
import { CodecError, type JsonObject } from "#codec/codec.ts";
import { validateOpenAiChatRequest } from "#codec/openai-chat/validate-request.ts";
import { boundInputTokens } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { isTooDeep } from "./is-too-deep.ts";

/** The deepest nesting that a body may have. */
const maxDepth = 64;

/** Reads and checks a chat request in OpenAI's dialect. Throws CodecError for what OpenAI would refuse. */
export function inspectOpenAiChat(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  validateOpenAiChatRequest(body);
  const limits = [body["max_tokens"], body["max_completion_tokens"]].filter((limit) => typeof limit === "number");
  return {
    model,
    stream: body["stream"] === true,
    inputTokenBound: boundInputTokens(bytes.length, body),
    outputTokenLimit: limits.length === 0 ? undefined : BigInt(Math.max(...limits)),
    candidates: typeof body["n"] === "number" ? BigInt(body["n"]) : 1n,
  };
}

/** Reads and checks an embeddings request in OpenAI's dialect. Throws CodecError for what OpenAI would refuse. */
export function inspectOpenAiEmbeddings(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  const { input } = body;
  if (input === undefined) {
    throw new CodecError("Missing required parameter: 'input'.", {
      code: "missing_required_parameter",
      param: "input",
    });
  }
  if (typeof input !== "string" && !Array.isArray(input)) {
    throw new CodecError("Invalid type for 'input': expected a string or an array.", {
      code: "invalid_type",
      param: "input",
    });
  }
  if (input.length === 0) {
    throw new CodecError("Invalid 'input': it must not be empty.", { code: "empty_array", param: "input" });
  }
  return {
    model,
    stream: false,
    inputTokenBound: boundInputTokens(bytes.length, body),
    outputTokenLimit: 0n,
    candidates: 1n,
  };
}

/** Parses a body. Throws CodecError for what is not a JSON object in UTF-8 of a sane depth. */
function parseBody(bytes: Buffer): JsonObject {
  if (!isUtf8(bytes)) {
    throw invalidJson("the body is not valid UTF-8");
  }
  if (isTooDeep(bytes, maxDepth)) {
    throw invalidJson(`the body is nested more than ${maxDepth} levels deep`);
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw invalidJson("the body is not valid JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidJson("the body is not a JSON object");
  }
  // JSON.parse made it, and it is an object.
  return value as JsonObject;
}

function readModel(body: JsonObject): string {
  const { model } = body;
  if (model === undefined || model === null || model === "") {
    throw new CodecError("you must provide a model parameter", { code: "missing_required_parameter", param: "model" });
  }
  if (typeof model !== "string") {
    throw new CodecError("Invalid type for 'model': expected a string.", { code: "invalid_type", param: "model" });
  }
  return model;
}

function invalidJson(reason: string, cause?: unknown): CodecError {
  return new CodecError(`We could not parse the JSON body of your request: ${reason}.`, {
    code: "invalid_json",
    cause,
  });
}
