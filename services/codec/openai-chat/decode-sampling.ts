import type { ChatRequest } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { asNumber } from "../json/json-values.ts";

/** Reads the numbers that steer how tokens are chosen, which both of OpenAI's completions have. */
export function decodeSampling(body: JsonObject, request: ChatRequest): void {
  const temperature = asNumber(body["temperature"]);
  if (temperature !== undefined) {
    request.temperature = temperature;
  }
  const topP = asNumber(body["top_p"]);
  if (topP !== undefined) {
    request.topP = topP;
  }
  const seed = asNumber(body["seed"]);
  if (seed !== undefined) {
    request.seed = BigInt(seed);
  }
  const presencePenalty = asNumber(body["presence_penalty"]);
  if (presencePenalty !== undefined) {
    request.presencePenalty = presencePenalty;
  }
  const frequencyPenalty = asNumber(body["frequency_penalty"]);
  if (frequencyPenalty !== undefined) {
    request.frequencyPenalty = frequencyPenalty;
  }
}
