import type { Buffer } from "node:buffer";
import type { JsonObject } from "#codec/codec.ts";
import { countPrompts, validateCompletionsRequest } from "#codec/openai-completions/validate-request.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

/** Reads and checks a request of OpenAI's older completions. Throws CodecError for what OpenAI would refuse. */
export function inspectOpenAiCompletions(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  validateCompletionsRequest(body);
  const limit = body["max_tokens"];
  // All that are made are paid for, also those of which the best is chosen.
  const made = Math.max(countOf(body, "n"), countOf(body, "best_of"));
  return {
    model,
    stream: body["stream"] === true,
    inputTokenBound: BigInt(bytes.length),
    outputTokenLimit: typeof limit === "number" ? BigInt(limit) : undefined,
    candidates: BigInt(countPrompts(body["prompt"]) * made),
  };
}

function countOf(body: JsonObject, name: string): number {
  const value = body[name];
  return typeof value === "number" ? value : 1;
}
