import { createOpenAiChatCodec, createOpenAiEmbedCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import type { RerankForm } from "#codec/rerank/rerank-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { memberText } from "../request/edit-body.ts";
import { createOpenAiCompletionsKind } from "./openai-completions.ts";
import { createOpenAiResponsesKind } from "./openai-responses.ts";
import type { ForwardedOperations, ProviderCall, ProviderKind } from "./provider.ts";

/** What differs among servers that speak OpenAI's dialect. */
export interface OpenAiKindOptions {
  readonly defaultBaseUrl: string;
  /** The member that limits output. */
  readonly maxTokensField: "max_tokens" | "max_completion_tokens";
  /** Whether it takes the members that OpenAI does not have, such as thoughts to be sent back. */
  readonly extensions: boolean;
  /** Whether it takes `stream_options`; one that does not reports usage unasked. */
  readonly streamOptions: boolean;
  /** Whether it has the Responses API too. Absent: no. */
  readonly responses?: boolean;
  /** Whether it has the older completions too. Absent: no, and their callers are translated. */
  readonly completions?: boolean;
  /** The operations that it has beside chat completions and embeddings, and where. Absent: none. */
  readonly operations?: ForwardedOperations;
  /** How it orders documents, at `/rerank`. Absent: it does not. */
  readonly rerank?: RerankForm;
  /** The path below the base URL, where it is not OpenAI's, which is given. */
  readonly path?: (call: ProviderCall, openAiPath: string) => string;
  /** The credential as header fields, where it is not OpenAI's bearer token. */
  readonly headers?: (apiKey: string | undefined) => readonly string[];
}

/** OpenAI and the many servers that speak its dialect. */
export function createOpenAiKind(options: OpenAiKindOptions): ProviderKind {
  const headers = options.headers ?? bearerToken;
  const pathOf = options.path ?? ((_call, openAiPath) => openAiPath);
  const kind: ProviderKind = {
    chat: createOpenAiChatCodec(options),
    embed: createOpenAiEmbedCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: options.defaultBaseUrl,
    ...(options.operations === undefined ? {} : { operations: options.operations }),
    ...(options.rerank === undefined ? {} : { rerank: options.rerank }),
    path: (call) =>
      pathOf(call, options.operations?.[call.operation] ?? ownPaths[call.operation] ?? "/chat/completions"),
    headers,
    forwardEdits(call, body) {
      const edits = new Map([["model", JSON.stringify(call.model)]]);
      if (!call.stream || call.operation !== Operation.CHAT || !options.streamOptions) {
        return { edits, stripUsage: false };
      }
      const wanted = usageWanted(memberText(body, "stream_options"));
      if (!wanted.already) {
        edits.set("stream_options", wanted.text);
      }
      return { edits, stripUsage: !wanted.already };
    },
    outputLimitEdit: (tokens) => [options.maxTokensField, String(tokens)],
  };
  return {
    ...kind,
    alsoSpeaks: [
      ...(options.responses === true ? [createOpenAiResponsesKind(options.defaultBaseUrl, headers)] : []),
      ...(options.completions === true
        ? [createOpenAiCompletionsKind(kind, (call) => pathOf(call, "/completions"))]
        : []),
    ],
  };
}

/** Where all servers of the dialect have what they have. */
const ownPaths: ForwardedOperations = {
  [Operation.CHAT]: "/chat/completions",
  [Operation.EMBED]: "/embeddings",
  [Operation.RERANK]: "/rerank",
};

function bearerToken(apiKey: string | undefined): readonly string[] {
  return apiKey === undefined ? [] : ["authorization", `Bearer ${apiKey}`];
}

/** The stream options that make the server report usage, and whether the caller had asked for that. */
function usageWanted(text: string | undefined): { readonly already: boolean; readonly text: string } {
  const given: unknown = text === undefined ? undefined : JSON.parse(text);
  const object = typeof given === "object" && given !== null ? given : {};
  return {
    already: "include_usage" in object && object.include_usage === true,
    text: JSON.stringify({ ...object, include_usage: true }),
  };
}
