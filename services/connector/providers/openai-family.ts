import { rerankForms } from "#codec/rerank/rerank-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { OpenAiKindOptions } from "./openai.ts";

type Quirks = Omit<OpenAiKindOptions, "path" | "headers">;

const transcripts = {
  [Operation.TRANSCRIBE]: "/audio/transcriptions",
  [Operation.TRANSLATE]: "/audio/translations",
} as const;
const speech = { [Operation.SPEAK]: "/audio/speech" } as const;
const images = { [Operation.GENERATE_IMAGE]: "/images/generations" } as const;
const edits = { [Operation.EDIT_IMAGE]: "/images/edits" } as const;
const moderations = { [Operation.MODERATE]: "/moderations" } as const;
const files = {
  [Operation.CREATE_FILE]: "/files",
  [Operation.GET_FILE]: "/files",
  [Operation.GET_FILE_CONTENT]: "/files",
  [Operation.DELETE_FILE]: "/files",
} as const;
const batches = {
  [Operation.CREATE_BATCH]: "/batches",
  [Operation.GET_BATCH]: "/batches",
  [Operation.CANCEL_BATCH]: "/batches",
} as const;
/** Everything that OpenAI has and that goes to it as it came. */
const openAiOperations = {
  ...moderations,
  ...images,
  ...edits,
  ...speech,
  ...transcripts,
  ...files,
  ...batches,
} as const;

/** What deployments at Azure have of it. */
export const deploymentOperations = { ...images, ...edits, ...speech, ...transcripts } as const;

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
    operations: openAiOperations,
  },
  "openai-compatible": {
    defaultBaseUrl: "",
    ...compatible,
    completions: true,
    operations: openAiOperations,
    rerank: rerankForms.jina,
  },
  // Always reports usage, and refuses members that it does not know.
  mistral: {
    defaultBaseUrl: "https://api.mistral.ai/v1",
    ...compatible,
    streamOptions: false,
    operations: { ...moderations, [Operation.TRANSCRIBE]: "/audio/transcriptions", ...files },
  },
  groq: {
    defaultBaseUrl: "https://api.groq.com/openai/v1",
    ...compatible,
    operations: { ...speech, ...transcripts, ...files, ...batches },
  },
  deepseek: { defaultBaseUrl: "https://api.deepseek.com/v1", ...compatible },
  xai: {
    defaultBaseUrl: "https://api.x.ai/v1",
    ...compatible,
    responses: true,
    completions: true,
    operations: { ...images, ...edits },
  },
  openrouter: {
    defaultBaseUrl: "https://openrouter.ai/api/v1",
    ...compatible,
    completions: true,
    rerank: rerankForms.jina,
  },
  // Reports usage in every chunk.
  perplexity: { defaultBaseUrl: "https://api.perplexity.ai", ...compatible, streamOptions: false },
  together: {
    defaultBaseUrl: "https://api.together.xyz/v1",
    ...compatible,
    completions: true,
    operations: { ...images, ...speech, ...transcripts },
    rerank: rerankForms.jina,
  },
  fireworks: {
    defaultBaseUrl: "https://api.fireworks.ai/inference/v1",
    ...compatible,
    completions: true,
    rerank: rerankForms.fireworks,
  },
  cerebras: { defaultBaseUrl: "https://api.cerebras.ai/v1", ...compatible, completions: true },
  huggingface: { defaultBaseUrl: "https://router.huggingface.co/v1", ...compatible },
  vllm: {
    defaultBaseUrl: "http://127.0.0.1:8000/v1",
    ...compatible,
    completions: true,
    operations: transcripts,
    rerank: rerankForms.jina,
  },
  "llama.cpp": {
    defaultBaseUrl: "http://127.0.0.1:8080/v1",
    ...compatible,
    completions: true,
    rerank: rerankForms.jina,
  },
  voyage: { defaultBaseUrl: "https://api.voyageai.com/v1", ...compatible, rerank: rerankForms.voyage },
  jina: { defaultBaseUrl: "https://api.jina.ai/v1", ...compatible, rerank: rerankForms.jina },
} satisfies Readonly<Record<string, Quirks>>;

/** What the built-in provider has of OpenAI's dialect: conversations and vectors. */
export const echoOptions: Quirks = { defaultBaseUrl: "", ...compatible };

/** A kind of provider that speaks OpenAI's dialect. */
export type OpenAiFamilyName = keyof typeof openAiFamily;
