import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { JsonObject } from "../codec.ts";
import { tokenCount } from "../json/json-fields.ts";
import { asObject } from "../json/json-values.ts";

/**
 * Reads the usage of an answer, or of an event, of an operation that is no conversation: images, speech, transcripts,
 * classifications, orders. Undefined where no tokens are reported, as for sounds that are paid for by the minute.
 */
export function readOperationUsage(body: JsonObject, operation: Operation): Usage | undefined {
  const usage = asObject(body["usage"]);
  if (usage === undefined) {
    return undefined;
  }
  const total = tokenCount(usage["total_tokens"]);
  const given = tokenCount(usage["input_tokens"] ?? usage["prompt_tokens"]);
  const output = tokenCount(usage["output_tokens"] ?? usage["completion_tokens"]);
  const input = given === 0n && total > output ? total - output : given;
  if (input === 0n && output === 0n) {
    return undefined;
  }
  const inputs =
    asObject(usage["input_tokens_details"] ?? usage["input_token_details"] ?? usage["prompt_tokens_details"]) ?? {};
  const outputs = asObject(usage["output_tokens_details"] ?? usage["output_token_details"]);
  const cached = least(input, tokenCount(inputs["cached_tokens"]));
  const uncached = input - cached;
  const audioInput = least(uncached, tokenCount(inputs["audio_tokens"]));
  const imageInput = least(uncached - audioInput, tokenCount(inputs["image_tokens"]));
  // Without details all of the output is what the operation makes.
  const audioOutput = operation === Operation.SPEAK ? output : 0n;
  const imageOutput =
    operation === Operation.GENERATE_IMAGE || operation === Operation.EDIT_IMAGE
      ? least(output, outputs === undefined ? output : tokenCount(outputs["image_tokens"]))
      : 0n;
  return {
    $typeName: "penstock.type.v1.Usage",
    uncachedInputTokens: uncached,
    cacheReadTokens: cached,
    cacheWriteTokens: 0n,
    cacheWrite1hTokens: 0n,
    outputTokens: output,
    reasoningTokens: 0n,
    audioInputTokens: audioInput,
    audioOutputTokens: audioOutput,
    estimated: false,
    ...(imageInput === 0n ? {} : { imageInputTokens: imageInput }),
    ...(imageOutput === 0n ? {} : { imageOutputTokens: imageOutput }),
  };
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
