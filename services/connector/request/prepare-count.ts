import { Buffer } from "node:buffer";
import { parseJsonBody } from "#codec/callers.ts";
import { CodecError } from "#codec/codec.ts";
import {
  type CountTokensCodec,
  createAnthropicCountCodec,
  createGeminiCountCodec,
} from "#codec/count-tokens/count-tokens-codec.ts";
import { listTexts } from "#codec/count-tokens/list-texts.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { WholeAnswer } from "../answer/whole-answer.ts";
import type { Provider, ProviderCall } from "../providers/provider.ts";
import { editBody } from "./edit-body.ts";
import { estimateTokens } from "./estimate-tokens.ts";
import type { EstimatedAttempt, PreparedAttempt } from "./prepared-attempt.ts";
import { bytesOf, isJson, upstreamRequest } from "./upstream-request.ts";

/** The dialects whose callers ask for counts. */
const callerCodecs: readonly CountTokensCodec[] = [
  createAnthropicCountCodec(),
  createGeminiCountCodec({ wrapped: true }),
];

/**
 * Prepares the counting of tokens: forwarded or translated where the provider counts, else estimated here. Whoever
 * counts, nothing is used and nothing costs. Throws CodecError.
 */
export function prepareCount(
  request: ExecuteRequest,
  provider: Provider,
  call: ProviderCall,
): PreparedAttempt | EstimatedAttempt {
  const caller = callerCodecs.find((codec) => codec.dialect === request.dialect);
  if (caller === undefined) {
    throw new CodecError("tokens cannot be counted in this dialect", { code: "unsupported_feature" });
  }
  const counter = provider.kind.countTokens;
  const question = parseJsonBody(request.body);
  if (counter === undefined) {
    const chat = listTexts(caller.decodeRequest(question));
    return {
      contentType: "application/json",
      async estimate(signal) {
        return Buffer.from(JSON.stringify(caller.encodeResponse(await estimateTokens(chat, signal))));
      },
    };
  }
  const isForwarded = counter.dialect === caller.dialect && counter.takes(question);
  const encoded = isForwarded
    ? undefined
    : counter.encodeRequest(caller.decodeRequest(question), { model: request.model });
  const body =
    encoded === undefined
      ? editBody(request.body, provider.kind.forwardEdits(call, request.body).edits)
      : bytesOf(encoded);
  return {
    kind: provider.kind,
    request: upstreamRequest(provider, call, body, isForwarded ? { dialectHeaders: request.dialectHeaders } : {}),
    dropped: encoded?.dropped ?? [],
    createReader: (contentType) =>
      isJson(contentType)
        ? new WholeAnswer("application/json", (json, raw) => {
            const tokens = counter.decodeResponse(json);
            return {
              bytes: isForwarded ? raw : Buffer.from(JSON.stringify(caller.encodeResponse(tokens))),
              end: { usage: undefined, finishReason: FinishReason.UNSPECIFIED, complete: true },
            };
          })
        : undefined,
  };
}
