import { createOpenAiCompletionsCodec } from "#codec/openai-completions/openai-completions-codec.ts";
import type { ProviderKind } from "./provider.ts";

/** OpenAI's older completions, at providers that have them beside chat completions, of which `chat` is the kind. */
export function createOpenAiCompletionsKind(chat: ProviderKind, path: ProviderKind["path"]): ProviderKind {
  return {
    chat: createOpenAiCompletionsCodec(),
    hasFinalMarker: true,
    defaultBaseUrl: chat.defaultBaseUrl,
    path,
    headers: (apiKey) => chat.headers(apiKey),
    forwardEdits: (call, body) => chat.forwardEdits(call, body),
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}
