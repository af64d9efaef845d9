import { Buffer } from "node:buffer";
import { CodecError, type JsonObject, ProviderStreamError } from "#codec/codec.ts";
import { fieldOf, parseMultipart, replaceValue } from "#codec/multipart/parse-multipart.ts";
import { createOperationStreamObserver } from "#codec/operations/operation-stream-observer.ts";
import { readOperationUsage } from "#codec/operations/read-operation-usage.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import type { AnswerReader } from "../answer/answer-reader.ts";
import { ByteStream, WholeText } from "../answer/byte-answers.ts";
import { credibleUsage } from "../answer/credible-usage.ts";
import { ForwardStream } from "../answer/forward-stream.ts";
import { WholeAnswer } from "../answer/whole-answer.ts";
import type { Provider, ProviderCall } from "../providers/provider.ts";
import { editBody } from "./edit-body.ts";
import type { PreparedAttempt } from "./prepared-attempt.ts";
import { isJson, upstreamRequest } from "./upstream-request.ts";

/** What the operations are called when a provider does not have them. */
const names: Readonly<Partial<Record<Operation, string>>> = {
  [Operation.MODERATE]: "classify inputs",
  [Operation.GENERATE_IMAGE]: "make images",
  [Operation.EDIT_IMAGE]: "change images",
  [Operation.SPEAK]: "speak",
  [Operation.TRANSCRIBE]: "write speech down",
  [Operation.TRANSLATE]: "translate speech",
};

/**
 * Prepares an operation that is forwarded as it came, JSON or multipart, with only the model changed, and whose answer
 * of whatever form is passed on. Throws CodecError (`unsupported_feature`) where the provider does not have it.
 */
export function prepareForwarded(request: ExecuteRequest, provider: Provider, call: ProviderCall): PreparedAttempt {
  const { kind } = provider;
  const { operation } = request;
  if (kind.operations?.[operation] === undefined || kind.chat.dialect !== request.dialect) {
    const what = names[operation] ?? "do this";
    throw new CodecError(`this model's provider cannot ${what}`, { code: "unsupported_feature", param: "model" });
  }
  const { body, textBytes } =
    request.contentType === ""
      ? {
          body: editBody(request.body, new Map([["model", JSON.stringify(request.model)]])),
          textBytes: request.body.length,
        }
      : withModel(request);
  const estimate = (answerBytes: number): Usage => estimateOperation(operation, textBytes, answerBytes);
  return {
    kind,
    request: upstreamRequest(provider, call, body, {
      dialectHeaders: request.dialectHeaders,
      accept: call.stream ? "text/event-stream" : "*/*",
      ...(request.contentType === "" ? {} : { contentType: request.contentType }),
    }),
    dropped: [],
    createReader: (contentType) => createReader(operation, contentType, textBytes, estimate),
  };
}

function createReader(
  operation: Operation,
  contentType: string,
  textBytes: number,
  estimate: (answerBytes: number) => Usage,
): AnswerReader | undefined {
  const type = contentType.split(";", 1)[0]?.trim() ?? "";
  if (type === "text/event-stream") {
    return new ForwardStream({
      observer: createOperationStreamObserver(operation),
      hasFinalMarker: false,
      inputBytes: textBytes,
    });
  }
  const mayBeText = operation === Operation.TRANSCRIBE || operation === Operation.TRANSLATE;
  if (type.endsWith("json") || (operation !== Operation.SPEAK && isJson(contentType) && (!mayBeText || type === ""))) {
    return new WholeAnswer("application/json", (json, raw) => {
      checkError(json);
      return {
        bytes: raw,
        end: {
          usage: credibleUsage(readOperationUsage(json, operation)) ?? estimate(answerBytesOf(operation, json, raw)),
          finishReason: FinishReason.UNSPECIFIED,
          complete: true,
        },
      };
    });
  }
  if (type === "text/html") {
    // The page of some proxy.
    return undefined;
  }
  switch (operation) {
    case Operation.SPEAK:
      return new ByteStream(contentType === "" ? "application/octet-stream" : contentType, estimate(0));
    case Operation.TRANSCRIBE:
    case Operation.TRANSLATE:
      return isText(type) ? new WholeText(contentType, (text) => estimate(text.length)) : undefined;
    default:
      return undefined;
  }
}

/** Subtitles come as text, or as a type of their own. */
function isText(type: string): boolean {
  return type.startsWith("text/") || type === "application/x-subrip" || type === "application/octet-stream";
}

function checkError(json: JsonObject): void {
  const { error } = json;
  if (typeof error === "object" && error !== null) {
    throw new ProviderStreamError(json);
  }
}

/** What of an answer counts as output when nobody reports what was used, in bytes of text. */
function answerBytesOf(operation: Operation, json: JsonObject, raw: Uint8Array): number {
  switch (operation) {
    case Operation.GENERATE_IMAGE:
    case Operation.EDIT_IMAGE:
      return (Array.isArray(json["data"]) ? json["data"].length : 1) * bytesOfDrawing;
    case Operation.TRANSCRIBE:
    case Operation.TRANSLATE:
      return typeof json["text"] === "string" ? Buffer.byteLength(json["text"]) : raw.length;
    default:
      return 0;
  }
}

/** A picture of usual size is about a thousand tokens, as many as four thousand bytes of text. */
const bytesOfDrawing = 4_000;
/** A byte of text is about this many tokens when it is spoken. */
const spokenTokensPerByte = 1.5;

function estimateOperation(operation: Operation, textBytes: number, answerBytes: number): Usage {
  if (operation === Operation.SPEAK) {
    const usage = estimateUsage(textBytes, Math.ceil(textBytes * spokenTokensPerByte));
    return { ...usage, audioOutputTokens: usage.outputTokens };
  }
  const usage = estimateUsage(textBytes, Math.ceil(answerBytes / 4));
  return operation === Operation.GENERATE_IMAGE || operation === Operation.EDIT_IMAGE
    ? { ...usage, imageOutputTokens: usage.outputTokens }
    : usage;
}

/** What a file usually comes to in relation to its bytes, as if they were bytes of text. */
const fileBytesPerTextByte = 250;

function withModel(request: ExecuteRequest): { readonly body: Uint8Array; readonly textBytes: number } {
  const bytes = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
  const parts = parseMultipart(bytes, request.contentType);
  const model = fieldOf(parts, "model");
  if (model === undefined) {
    throw new CodecError("you must provide a model parameter", { code: "missing_required_parameter", param: "model" });
  }
  const fileBytes = parts
    .filter((part) => part.filename !== undefined)
    .reduce((sum, part) => sum + part.end - part.start, 0);
  return {
    body: replaceValue(bytes, model, request.model),
    textBytes: bytes.length - fileBytes + Math.ceil(fileBytes / fileBytesPerTextByte),
  };
}
