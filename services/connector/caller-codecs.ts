import { type CallerCodec, createCallerCodec } from "#codec/callers.ts";
import type { ChatCodec, EmbedCodec } from "#codec/codec.ts";
import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import { createGeminiCodec, createGeminiEmbedCodec } from "#codec/gemini/gemini-codec.ts";
import { createOpenAiChatCodec, createOpenAiEmbedCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import { createOpenAiCompletionsCodec } from "#codec/openai-completions/openai-completions-codec.ts";
import { createOpenAiResponsesCodec } from "#codec/openai-responses/openai-responses-codec.ts";
import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";

/** The codecs of callers, by their dialect. */
export interface CallerCodecs {
  /** Throws CodecError for a dialect that no codec speaks. */
  of(dialect: Dialect): CallerCodec;
}

/** The codecs of all dialects that callers may use. */
export function createCallerCodecs(): CallerCodecs {
  const chat = mapOf<ChatCodec>([
    createOpenAiChatCodec(),
    createOpenAiCompletionsCodec(),
    createOpenAiResponsesCodec(),
    createAnthropicMessagesCodec(),
    createGeminiCodec(),
  ]);
  const embed = mapOf<EmbedCodec>([createOpenAiEmbedCodec(), createGeminiEmbedCodec()]);
  const made = new Map<Dialect, CallerCodec>();
  return {
    of(dialect) {
      let codec = made.get(dialect);
      if (codec === undefined) {
        codec = createCallerCodec(dialect, chat, embed);
        made.set(dialect, codec);
      }
      return codec;
    },
  };
}

function mapOf<C extends { readonly dialect: Dialect }>(codecs: readonly C[]): ReadonlyMap<Dialect, C> {
  return new Map(codecs.map((codec) => [codec.dialect, codec]));
}
