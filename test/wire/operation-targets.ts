import type { RecordingRow } from "../harness/recordings.ts";

/** How the exchanges of an API are played: at which door, by which kind of provider. */
export interface OperationTarget {
  /** The kind of provider that stands for the recorded one. */
  readonly kind: string;
  /** What its base URL has behind the host. */
  readonly base: string;
  /** The path of the door, and of the provider, for a model. */
  readonly path: (model: string) => string;
}

/** What stands for a recorded provider and an API that is no conversation; undefined when no door takes it. */
export function operationTargetOf({
  provider,
  api,
}: Pick<RecordingRow, "provider" | "api">): OperationTarget | undefined {
  if (provider === "anthropic" && api === "messages.count_tokens") {
    return { kind: "anthropic", base: "", path: () => "/v1/messages/count_tokens" };
  }
  if (provider === "gemini" && (api === "embedContent" || api === "batchEmbedContents" || api === "countTokens")) {
    return { kind: "gemini", base: "/v1beta", path: (model) => `/v1beta/models/${model}:${api}` };
  }
  if (provider === "cohere" && api === "v2.rerank") {
    return { kind: "cohere", base: "", path: () => "/v2/rerank" };
  }
  return openAiApis.has(api) && openAiKinds.has(provider)
    ? { kind: provider, base: "/v1", path: () => `/v1/${api.replace(".", "/")}` }
    : undefined;
}

const openAiKinds: ReadonlySet<string> = new Set(["openai", "mistral", "vllm", "voyage", "jina", "together", "groq"]);
const openAiApis: ReadonlySet<string> = new Set([
  "completions",
  "embeddings",
  "moderations",
  "rerank",
  "images.generations",
  "images.edits",
  "audio.speech",
  "audio.transcriptions",
  "audio.translations",
]);
