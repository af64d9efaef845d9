import type { Buffer } from "node:buffer";
import { CodecError, type Json, type JsonObject } from "#codec/codec.ts";
import { validateOpenAiResponsesRequest } from "#codec/openai-responses/validate-request.ts";
import { tokensOfReference } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

/** Reads and checks a request of OpenAI's Responses API. Throws CodecError for what OpenAI would refuse. */
export function inspectOpenAiResponses(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  validateOpenAiResponsesRequest(body);
  refuseStored(body);
  const limit = body["max_output_tokens"];
  return {
    model,
    stream: body["stream"] === true,
    inputTokenBound: BigInt(bytes.length) + referencesIn(body["input"]),
    outputTokenLimit: typeof limit === "number" ? BigInt(limit) : undefined,
    candidates: 1n,
    ...(body["background"] === true ? { background: true } : {}),
  };
}

/**
 * What a provider keeps belongs to the operator's account there, which tenants share. The gateway keeps track of whose
 * responses, files and containers are; of nothing else, so nobody may name it.
 */
function refuseStored(body: JsonObject): void {
  for (const name of ["conversation", "prompt"]) {
    const value = body[name];
    if (value !== undefined && value !== null && value !== false) {
      throw new CodecError(`Unsupported parameter: '${name}' is not supported by this gateway.`, {
        code: "unsupported_parameter",
        param: name,
      });
    }
  }
}

/** Pictures and files that items only refer to; those in outputs of functions are a level deeper. */
function referencesIn(items: Json | undefined): bigint {
  if (!Array.isArray(items)) {
    return 0n;
  }
  let sum = 0n;
  for (const item of items as readonly Json[]) {
    if (typeof item !== "object" || item === null || Array.isArray(item)) {
      continue;
    }
    // Neither null nor an array, as the line above says.
    const { type, content, output } = item as JsonObject;
    if (type === "input_image") {
      sum += tokensOfReference.image;
    } else if (type === "input_file") {
      sum += tokensOfReference.file;
    }
    sum += referencesIn(content) + referencesIn(output);
  }
  return sum;
}
