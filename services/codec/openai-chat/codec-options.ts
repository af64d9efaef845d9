/** How the servers behind a codec differ from OpenAI itself. The defaults are OpenAI's own API. */
export interface OpenAiChatOptions {
  /** The field of the output limit: compatible servers often know only the old name. */
  readonly maxTokensField?: "max_tokens" | "max_completion_tokens";
  /**
   * True for servers that accept what OpenAI refuses: `reasoning_content`, `reasoning_details`, `cache_control`,
   * thought signatures, `top_k`, more than four stop sequences.
   */
  readonly extensions?: boolean;
  /** False for servers that refuse `stream_options`. */
  readonly streamOptions?: boolean;
}
