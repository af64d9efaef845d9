import { createAnthropicMessagesCodec } from "../anthropic-messages/anthropic-messages-codec.ts";
import type { ChatCodec } from "../codec.ts";
import { createGeminiCodec } from "../gemini/gemini-codec.ts";
import { findError } from "../json/find-error.ts";

/** The version of Anthropic's dialect that Vertex speaks, which stands in the body. */
export const VERTEX_ANTHROPIC_VERSION = "vertex-2023-10-16";

/**
 * Creates the codec of Claude on Vertex: Anthropic's dialect, with its version in the body and the model in the path.
 * Errors are Anthropic's or Google's own.
 */
export function createVertexClaudeCodec(): ChatCodec {
  const anthropic = createAnthropicMessagesCodec();
  const google = createGeminiCodec();
  return {
    ...anthropic,
    encodeRequest(request, options) {
      const { body, dropped } = anthropic.encodeRequest(request, options);
      const { model: _model, ...rest } = body;
      return { body: { anthropic_version: VERTEX_ANTHROPIC_VERSION, ...rest }, dropped };
    },
    decodeError: (body) =>
      findError(body)?.["status"] === undefined ? anthropic.decodeError(body) : google.decodeError(body),
  };
}
