import type { ChatRequest } from "#gen/penstock/chat/v1/chat_pb.ts";
import { Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { EncodedRequest, EncodeRequestOptions, Json } from "../codec.ts";
import { unsupported } from "../json/json-fields.ts";
import { setDefined } from "../json/json-values.ts";

/**
 * Writes a completions request for a conversation of one text. Throws CodecError (`unsupported_feature`) for any other:
 * how a model that continues texts tells turns apart is its own affair.
 */
export function encodeRequest(request: ChatRequest, options: EncodeRequestOptions): EncodedRequest {
  const [only, ...others] = request.messages;
  const [part, ...more] = only?.parts ?? [];
  const text = only?.role === Role.USER && part?.content.case === "text" ? part.content.value.text : undefined;
  if (text === undefined || others.length > 0 || more.length > 0 || request.tools.length > 0) {
    throw unsupported("messages", "must be one text for this model");
  }
  const body: Record<string, Json> = { model: options.model, prompt: text };
  setDefined(body, "max_tokens", request.maxOutputTokens === undefined ? undefined : Number(request.maxOutputTokens));
  setDefined(body, "temperature", request.temperature);
  setDefined(body, "top_p", request.topP);
  setDefined(body, "n", request.candidateCount);
  setDefined(body, "seed", request.seed === undefined ? undefined : Number(request.seed));
  setDefined(body, "presence_penalty", request.presencePenalty);
  setDefined(body, "frequency_penalty", request.frequencyPenalty);
  setDefined(body, "stop", request.stopSequences.length === 0 ? undefined : request.stopSequences);
  setDefined(body, "user", request.endUserId || undefined);
  if (options.stream) {
    body["stream"] = true;
    body["stream_options"] = { include_usage: true };
  }
  return { body, dropped: [] };
}
