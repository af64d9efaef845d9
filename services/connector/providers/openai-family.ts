import type { OpenAiKindOptions } from "./openai.ts";

type Quirks = Omit<OpenAiKindOptions, "path" | "headers">;

const compatible = { maxTokensField: "max_tokens", extensions: true, streamOptions: true } as const;

/**
 * The servers that speak OpenAI's dialect, and what each does otherwise: data, so that the next one is a line. Those of
 * one's own are at the address at which they listen unless told otherwise.
 */
export const openAiFamily = {
  openai: {
    defaultBaseUrl: "https://api.openai.com/v1",
    maxTokensField: "max_completion_tokens",
    extensions: false,
    streamOptions: true,
    responses: true,
    completions: true,
  },
  "openai-compatible": { defaultBaseUrl: "", ...compatible, completions: true },
  // Always reports usage, and refuses members that it does not know.
  mistral: { defaultBaseUrl: "https://api.mistral.ai/v1", ...compatible, streamOptions: false },
  groq: { defaultBaseUrl: "https://api.groq.com/openai/v1", ...compatible },
  deepseek: { defaultBaseUrl: "https://api.deepseek.com/v1", ...compatible },
  xai: { defaultBaseUrl: "https://api.x.ai/v1", ...compatible, responses: true, completions: true },
  openrouter: { defaultBaseUrl: "https://openrouter.ai/api/v1", ...compatible, completions: true },
  // Reports usage in every chunk.
  perplexity: { defaultBaseUrl: "https://api.perplexity.ai", ...compatible, streamOptions: false },
  together: { defaultBaseUrl: "https://api.together.xyz/v1", ...compatible, completions: true },
  fireworks: { defaultBaseUrl: "https://api.fireworks.ai/inference/v1", ...compatible, completions: true },
  cerebras: { defaultBaseUrl: "https://api.cerebras.ai/v1", ...compatible, completions: true },
  huggingface: { defaultBaseUrl: "https://router.huggingface.co/v1", ...compatible },
  ollama: { defaultBaseUrl: "http://127.0.0.1:11434/v1", ...compatible, completions: true },
  vllm: { defaultBaseUrl: "http://127.0.0.1:8000/v1", ...compatible, completions: true },
  "llama.cpp": { defaultBaseUrl: "http://127.0.0.1:8080/v1", ...compatible, completions: true },
  voyage: { defaultBaseUrl: "https://api.voyageai.com/v1", ...compatible },
  jina: { defaultBaseUrl: "https://api.jina.ai/v1", ...compatible },
} satisfies Readonly<Record<string, Quirks>>;

/** What the built-in provider has of OpenAI's dialect: conversations and vectors. */
export const echoOptions: Quirks = { defaultBaseUrl: "", ...compatible };

/** A kind of provider that speaks OpenAI's dialect. */
export type OpenAiFamilyName = keyof typeof openAiFamily;
