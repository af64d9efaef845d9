import type { Buffer } from "node:buffer";
import { CodecError } from "#codec/codec.ts";
import { validateOpenAiChatRequest } from "#codec/openai-chat/validate-request.ts";
import { boundInputTokens } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

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
