import { PENSTOCK_CONTENT_TYPE } from "#codec/callers.ts";
import { CodecError, type EncodeResponseOptions, type JsonObject } from "#codec/codec.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { AnswerReader } from "../answer/answer-reader.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { credibleUsage } from "../answer/credible-usage.ts";
import { ForwardStream } from "../answer/forward-stream.ts";
import { responseToEvents } from "../answer/response-to-events.ts";
import { TranslateStream } from "../answer/translate-stream.ts";
import { type ConvertWhole, WholeAnswer } from "../answer/whole-answer.ts";
import type { CallerCodecs } from "../caller-codecs.ts";
import type { Provider, ProviderCall } from "../providers/provider.ts";
import { type BodyEdits, editBody, memberText } from "./edit-body.ts";
import type { EstimatedAttempt, PreparedAttempt } from "./prepared-attempt.ts";
import { prepareCount } from "./prepare-count.ts";
import { prepareForwarded } from "./prepare-forwarded.ts";
import { nothingUsed, prepareKept } from "./prepare-kept.ts";
import { prepareRerank } from "./prepare-rerank.ts";
import { bytesOf, isJson, streamTypeOf, upstreamRequest } from "./upstream-request.ts";

/** What an answer is given that has no id or time of its own. */
export type AnswerIdentity = Pick<EncodeResponseOptions, "fallbackId" | "fallbackCreated">;

/** Used where the provider's dialect needs an output limit and the caller gave none. */
const defaultMaxOutputTokens = 4096;

/**
 * Builds the provider's request: forwarded when both sides speak one dialect, else translated. Only a translation asks
 * for an identity. Throws CodecError.
 */
export function prepareAttempt(
  request: ExecuteRequest,
  account: Provider,
  callers: CallerCodecs,
  identity: () => AnswerIdentity,
): PreparedAttempt | EstimatedAttempt {
  const own = account.kind.forModel?.(request.model) ?? account.kind;
  const kind = own.alsoSpeaks?.find((spoken) => spoken.chat.dialect === request.dialect) ?? own;
  const provider = kind === account.kind ? account : { ...account, kind };
  const call: ProviderCall = {
    operation: request.operation,
    model: request.model,
    stream: request.stream,
    dialectHeaders: request.dialectHeaders,
    single: isSingleEmbed(request),
  };
  switch (request.operation) {
    case Operation.CHAT:
      return request.dialect === provider.kind.chat.dialect
        ? forwardChat(request, provider, call)
        : translateChat(request, provider, call, callers, identity);
    case Operation.EMBED:
      return request.dialect === provider.kind.embed?.dialect
        ? forwardEmbed(request, provider, call)
        : translateEmbed(request, provider, call, callers);
    case Operation.COUNT_TOKENS:
      return prepareCount(request, provider, call);
    case Operation.RERANK:
      return prepareRerank(request, provider, call);
    case Operation.MODERATE:
    case Operation.GENERATE_IMAGE:
    case Operation.EDIT_IMAGE:
    case Operation.SPEAK:
    case Operation.TRANSCRIBE:
    case Operation.TRANSLATE:
      return prepareForwarded(request, provider, call);
    case Operation.CREATE_FILE:
    case Operation.GET_FILE:
    case Operation.GET_FILE_CONTENT:
    case Operation.DELETE_FILE:
    case Operation.CREATE_BATCH:
    case Operation.GET_BATCH:
    case Operation.CANCEL_BATCH:
    case Operation.GET_RESPONSE:
    case Operation.DELETE_RESPONSE:
    case Operation.CANCEL_RESPONSE:
    case Operation.LIST_RESPONSE_INPUT:
      return prepareKept(request, provider);
    default:
      throw new CodecError("the operation is not known", { code: "unsupported_feature" });
  }
}

function forwardChat(request: ExecuteRequest, provider: Provider, call: ProviderCall): PreparedAttempt {
  const { kind } = provider;
  const { edits, stripUsage } = kind.forwardEdits(call, request.body);
  const body = editBody(request.body, withOutputLimit(edits, request, provider));
  const inputBytes = body.length;
  const convert: ConvertWhole = (json, raw) => {
    if (isUnfinished(json)) {
      // What is made in the background is paid for when it is there.
      return { bytes: raw, end: { usage: nothingUsed, finishReason: FinishReason.UNSPECIFIED, complete: false } };
    }
    const facts = kind.chat.readResponse(json);
    return {
      bytes: raw,
      end: {
        usage: credibleUsage(facts.usage) ?? estimateUsage(inputBytes, Math.ceil(raw.length / 4)),
        finishReason: facts.finishReason,
        complete: facts.finishReason !== FinishReason.UNSPECIFIED,
      },
    };
  };
  return {
    request: upstreamRequest(provider, call, body, { dialectHeaders: request.dialectHeaders }),
    kind: provider.kind,
    dropped: [],
    createReader(contentType) {
      if (!call.stream) {
        return isJson(contentType) ? new WholeAnswer("application/json", convert) : undefined;
      }
      if (contentType.startsWith(streamTypeOf(kind))) {
        return new ForwardStream({
          observer: kind.chat.createStreamObserver({ stripUsage }),
          hasFinalMarker: kind.hasFinalMarker,
          inputBytes,
        });
      }
      return isJson(contentType)
        ? wholeAsStream(
            provider,
            kind.chat.createStreamEncoder({
              fallbackId: "",
              fallbackCreated: 0,
              includeUsage: !stripUsage,
            }),
            "text/event-stream; charset=utf-8",
            inputBytes,
          )
        : undefined;
    },
  };
}

function translateChat(
  request: ExecuteRequest,
  provider: Provider,
  call: ProviderCall,
  callers: CallerCodecs,
  identity: () => AnswerIdentity,
): PreparedAttempt {
  const { kind } = provider;
  const caller = callers.of(request.dialect);
  const options: EncodeResponseOptions = { ...identity(), includeUsage: callerWantsUsage(request) };
  const dropped = new Set<string>();
  const encoded = kind.chat.encodeRequest(caller.decodeChatRequest(request.body, dropped), {
    model: request.model,
    stream: request.stream,
    defaultMaxOutputTokens:
      request.imposedOutputTokens > 0n ? Number(request.imposedOutputTokens) : defaultMaxOutputTokens,
  });
  const body = limitOutput(bytesOf(encoded), request, provider);
  const inputBytes = body.length;
  return {
    request: upstreamRequest(provider, call, body),
    kind: provider.kind,
    dropped: dropped.size === 0 ? encoded.dropped : [...dropped.union(new Set(encoded.dropped))].toSorted(),
    createReader(contentType) {
      if (!call.stream) {
        if (!isJson(contentType)) {
          return undefined;
        }
        return new WholeAnswer(
          request.dialect === Dialect.PENSTOCK ? PENSTOCK_CONTENT_TYPE : "application/json",
          (json) => {
            const response = kind.chat.decodeResponse(json);
            response.model ||= request.model;
            const written = caller.encodeChatResponse(response, options);
            return {
              bytes: written.body,
              end: {
                usage: credibleUsage(response.usage) ?? estimateUsage(inputBytes, Math.ceil(written.body.length / 4)),
                finishReason: response.candidates[0]?.finishReason ?? FinishReason.UNSPECIFIED,
                complete: true,
              },
            };
          },
        );
      }
      const encoder = caller.createChatStreamEncoder(options);
      if (contentType.startsWith(streamTypeOf(kind))) {
        return new TranslateStream({
          decoder: kind.chat.createStreamDecoder(),
          encoder,
          contentType: caller.streamContentType,
          inputBytes,
          model: request.model,
        });
      }
      return isJson(contentType) ? wholeAsStream(provider, encoder, caller.streamContentType, inputBytes) : undefined;
    },
  };
}

function forwardEmbed(request: ExecuteRequest, provider: Provider, call: ProviderCall): PreparedAttempt {
  const { edits } = provider.kind.forwardEdits(call, request.body);
  const body = editBody(request.body, edits);
  return {
    request: upstreamRequest(provider, call, body),
    kind: provider.kind,
    dropped: [],
    createReader: (contentType) =>
      isJson(contentType)
        ? new WholeAnswer("application/json", (json, raw) => ({
            bytes: raw,
            end: embedEnd(provider.kind.embed?.readUsage(json), body.length),
          }))
        : undefined,
  };
}

function translateEmbed(
  request: ExecuteRequest,
  provider: Provider,
  call: ProviderCall,
  callers: CallerCodecs,
): PreparedAttempt {
  const codec = provider.kind.embed;
  if (codec === undefined) {
    throw new CodecError("this model's provider has no embeddings", { code: "unsupported_feature", param: "model" });
  }
  const caller = callers.of(request.dialect);
  const encodingFormat = embedEncoding(request);
  const encoded = codec.encodeRequest(caller.decodeEmbedRequest(request.body), { model: request.model });
  const body = bytesOf(encoded);
  return {
    request: upstreamRequest(provider, call, body),
    kind: provider.kind,
    dropped: encoded.dropped,
    createReader: (contentType) =>
      isJson(contentType)
        ? new WholeAnswer(request.dialect === Dialect.PENSTOCK ? PENSTOCK_CONTENT_TYPE : "application/json", (json) => {
            const response = codec.decodeResponse(json);
            response.model ||= request.model;
            return {
              bytes: caller.encodeEmbedResponse(response, encodingFormat).body,
              end: embedEnd(response.usage, body.length),
            };
          })
        : undefined,
  };
}

/** Whether a response is still to be made. */
function isUnfinished({ object, status }: JsonObject): boolean {
  return object === "response" && (status === "queued" || status === "in_progress");
}

/** A provider that answers in one piece though asked to stream: its answer becomes a stream. */
function wholeAsStream(
  provider: Provider,
  encoder: ReturnType<ReturnType<CallerCodecs["of"]>["createChatStreamEncoder"]>,
  contentType: string,
  inputBytes: number,
): AnswerReader {
  return new WholeAnswer(contentType, (json) => {
    const response = provider.kind.chat.decodeResponse(json);
    const bytes = encoder.encode(responseToEvents(response));
    return {
      bytes,
      end: {
        usage: credibleUsage(response.usage) ?? estimateUsage(inputBytes, Math.ceil(bytes.length / 4)),
        finishReason: response.candidates[0]?.finishReason ?? FinishReason.UNSPECIFIED,
        complete: true,
      },
    };
  });
}

function withOutputLimit(edits: BodyEdits, request: ExecuteRequest, provider: Provider): BodyEdits {
  return request.imposedOutputTokens === 0n
    ? edits
    : new Map([...edits, provider.kind.outputLimitEdit(request.imposedOutputTokens, request.body)]);
}

function limitOutput(body: Uint8Array, request: ExecuteRequest, provider: Provider): Uint8Array {
  if (request.imposedOutputTokens === 0n) {
    return body;
  }
  return editBody(body, new Map([provider.kind.outputLimitEdit(request.imposedOutputTokens, body)]));
}

/** Whether a caller of OpenAI's dialect asked for the usage chunk; the other dialects always report usage. */
function callerWantsUsage(request: ExecuteRequest): boolean {
  if ((request.dialect !== Dialect.OPENAI_CHAT && request.dialect !== Dialect.OPENAI_COMPLETIONS) || !request.stream) {
    return true;
  }
  const given: unknown = JSON.parse(memberText(request.body, "stream_options") ?? "null");
  return typeof given === "object" && given !== null && "include_usage" in given && given.include_usage === true;
}

/** Whether one text is to be embedded by Gemini's form for one, which its answer follows. */
function isSingleEmbed({ dialect, operation, body }: ExecuteRequest): boolean {
  return dialect === Dialect.GEMINI && operation === Operation.EMBED && memberText(body, "requests") === undefined;
}

/** How a caller wants its vectors written: OpenAI's SDKs ask for base64, Gemini's callers for one or for several. */
function embedEncoding(request: ExecuteRequest): "float" | "base64" | "single" {
  if (isSingleEmbed(request)) {
    return "single";
  }
  return request.dialect === Dialect.OPENAI_CHAT && memberText(request.body, "encoding_format") === '"base64"'
    ? "base64"
    : "float";
}

function embedEnd(usage: AnswerReader["usageSoFar"], inputBytes: number) {
  return {
    usage: credibleUsage(usage) ?? estimateUsage(inputBytes, 0),
    finishReason: FinishReason.UNSPECIFIED,
    complete: true,
  };
}
