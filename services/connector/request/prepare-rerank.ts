import { Buffer } from "node:buffer";
import { parseJsonBody } from "#codec/callers.ts";
import { CodecError } from "#codec/codec.ts";
import {
  decodeRerankAnswer,
  decodeRerankRequest,
  encodeRerankAnswer,
  encodeRerankRequest,
  isForwardable,
} from "#codec/rerank/rerank-codec.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { credibleUsage } from "../answer/credible-usage.ts";
import { WholeAnswer } from "../answer/whole-answer.ts";
import type { Provider, ProviderCall } from "../providers/provider.ts";
import { editBody } from "./edit-body.ts";
import type { PreparedAttempt } from "./prepared-attempt.ts";
import { bytesOf, isJson, upstreamRequest } from "./upstream-request.ts";

/** Prepares the ordering of documents: forwarded where the provider's form is the callers', else translated. */
export function prepareRerank(request: ExecuteRequest, provider: Provider, call: ProviderCall): PreparedAttempt {
  const form = provider.kind.rerank;
  if (form === undefined) {
    throw new CodecError("this model's provider cannot order documents", {
      code: "unsupported_feature",
      param: "model",
    });
  }
  const given = parseJsonBody(request.body);
  const question = decodeRerankRequest(given);
  const isForwarded = isForwardable(given, question, form);
  const encoded = isForwarded ? undefined : encodeRerankRequest(question, form, request.model);
  const body =
    encoded === undefined
      ? editBody(request.body, new Map([["model", JSON.stringify(request.model)]]))
      : bytesOf(encoded);
  return {
    kind: provider.kind,
    request: upstreamRequest(provider, call, body),
    dropped: encoded?.dropped ?? [],
    createReader: (contentType) =>
      isJson(contentType)
        ? new WholeAnswer("application/json", (json, raw) => {
            const answer = decodeRerankAnswer(json);
            return {
              bytes: isForwarded
                ? raw
                : Buffer.from(JSON.stringify(encodeRerankAnswer(answer, question, request.model))),
              end: {
                usage: credibleUsage(usageOf(answer.totalTokens)) ?? estimateUsage(body.length, 0),
                finishReason: FinishReason.UNSPECIFIED,
                complete: true,
              },
            };
          })
        : undefined,
  };
}

function usageOf(totalTokens: number | undefined) {
  return totalTokens === undefined || !(totalTokens >= 0)
    ? undefined
    : { ...estimateUsage(0, 0), uncachedInputTokens: BigInt(Math.ceil(totalTokens)), estimated: false };
}
