import type { Recording } from "../harness/recordings.ts";
import type { WireDialect } from "./answer-facts.ts";

/** The provider of the gateway's configuration that stands for one that was recorded. */
export interface WireTarget {
  readonly dialect: WireDialect;
  /** Its entry in the configuration, for a provider at this address. */
  readonly config: (url: string) => string;
  /** The model that stands for a recording. Absent: the recording's id. */
  readonly model?: (id: string) => string;
  /** Whether callers at a door reach the recorded API, and not another one of the provider. Absent: at all doors. */
  readonly isReachedFrom?: (door: string) => boolean;
}

/** Kinds of their own among the servers that speak OpenAI's dialect, by the name that they were recorded under. */
const openAiKinds: Readonly<Record<string, string>> = {
  openai: "openai",
  mistral: "mistral",
  groq: "groq",
  deepseek: "deepseek",
  xai: "xai",
  openrouter: "openrouter",
  perplexity: "perplexity",
  together: "together",
  fireworks: "fireworks",
  cerebras: "cerebras",
  huggingface: "huggingface",
  // As one of the compatible servers: callers of other dialects get to Ollama's own API.
  ollama: "openai-compatible",
  vllm: "vllm",
  llamacpp: "llama.cpp",
};

/** Kinds that speak OpenAI's Responses API themselves. */
const hasResponses: ReadonlySet<string> = new Set(["openai", "xai"]);

/** APIs whose answers are conversations, whether the gateway has a kind of provider for them or not. */
const chatApis: readonly string[] = [
  "chat.completions",
  "messages",
  "generateContent",
  "streamGenerateContent",
  "responses",
  "converse",
  "converse-stream",
  "invoke",
  "invoke-with-response-stream",
  "v1.chat",
  "v2.chat",
  "api.chat",
  "api.generate",
  "rawPredict",
  "streamRawPredict",
];

/** Whether what was recorded at an API is a conversation. */
export function isChatApi(api: string): boolean {
  return chatApis.includes(api);
}

/** What stands for a recorded provider and API; undefined when the gateway has no kind of provider for it. */
export function targetOf({ provider, api }: Pick<Recording, "provider" | "api">): WireTarget | undefined {
  switch (api) {
    case "chat.completions":
      return provider === "azure"
        ? { dialect: "openai", config: (url) => entry("azure-openai", url) }
        : {
            dialect: "openai",
            config: (url) => entry(openAiKind(provider), `${url}/v1`),
            ...(hasResponses.has(openAiKind(provider)) ? { isReachedFrom: (door) => door !== "responses" } : {}),
          };
    case "responses":
      // Callers of all other doors are sent to the conversations of the same provider.
      return hasResponses.has(openAiKind(provider))
        ? {
            dialect: "responses",
            config: (url) => entry(openAiKind(provider), `${url}/v1`),
            isReachedFrom: (door) => door === "responses",
          }
        : undefined;
    case "messages":
      return { dialect: "anthropic", config: (url) => entry("anthropic", url) };
    case "generateContent":
    case "streamGenerateContent":
      return provider === "vertex"
        ? { dialect: "gemini", config: vertexEntry }
        : { dialect: "gemini", config: (url) => entry("gemini", `${url}/v1beta`) };
    case "rawPredict":
    case "streamRawPredict":
      return { dialect: "anthropic", config: vertexEntry, model: (id) => `claude-${id}` };
    case "converse":
    case "converse-stream":
      return {
        dialect: "bedrock",
        config: (url) =>
          `{ kind: bedrock, base_url: "${url}", region: us-east-1, access_key_id: AKIDEXAMPLE, secret_access_key: wire }`,
      };
    case "api.chat":
      // Callers of OpenAI's dialect are forwarded to Ollama's door for it.
      return { dialect: "ollama", config: (url) => entry("ollama", url), isReachedFrom: (door) => door !== "openai" };
    case "v2.chat":
      return { dialect: "cohere", config: (url) => entry("cohere", url) };
    default:
      return undefined;
  }
}

/** APIs that differ from another by their streams only. */
const families: Readonly<Record<string, string>> = {
  streamGenerateContent: "generateContent",
  streamRawPredict: "rawPredict",
  "converse-stream": "converse",
};

/** The name of a recorded provider and API in the configuration and the table. */
export function targetName({ provider, api }: Pick<Recording, "provider" | "api">): string {
  const family = families[api] ?? api;
  return `${provider}.${family}`;
}

/** A provider that was recorded and has no kind of its own is one of the compatible servers. */
function openAiKind(provider: string): string {
  return openAiKinds[provider] ?? "openai-compatible";
}

function vertexEntry(url: string): string {
  return `{ kind: vertex, base_url: "${url}", project: example, location: us-east5, access_token: wire-token-of-google }`;
}

function entry(kind: string, baseUrl: string): string {
  return `{ kind: ${kind}, base_url: "${baseUrl}", api_key: wire-key-of-the-provider }`;
}
