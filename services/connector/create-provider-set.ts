import type { ProviderConfig, ProvidersConfig } from "./config.ts";
import { createAnthropicKind } from "./providers/anthropic.ts";
import { createBedrockKind } from "./providers/bedrock.ts";
import { createCohereKind } from "./providers/cohere.ts";
import { createEchoUpstream } from "./providers/echo/create-echo-upstream.ts";
import { createGeminiKind } from "./providers/gemini.ts";
import { createAzureOpenAiKind } from "./providers/azure-openai.ts";
import { createOllamaKind } from "./providers/ollama.ts";
import { createOpenAiKind } from "./providers/openai.ts";
import { echoOptions, openAiFamily } from "./providers/openai-family.ts";
import type { Provider, ProviderKind } from "./providers/provider.ts";
import { createVertexKind } from "./providers/vertex.ts";
import { createBearerAuthorizer } from "./upstream/bearer-authorizer.ts";
import { createHttpUpstream } from "./upstream/create-http-upstream.ts";
import { createGoogleTokenSource } from "./upstream/google-tokens.ts";
import { createAwsSigner } from "./upstream/sign-aws-request.ts";
import { createTokenCache } from "./upstream/token-cache.ts";

/** The providers of one version of the configuration. */
export interface ProviderSet {
  get(name: string): Provider | undefined;
  /** Closes all connections; running answers are cut. */
  close(): Promise<void>;
}

/** What a set needs. */
export interface ProviderSetDeps {
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Kinds hold no state of an account, so each is made once. */
const kinds: ReadonlyMap<string, ProviderKind> = new Map([
  ...Object.entries(openAiFamily).map(([name, quirks]) => [name, createOpenAiKind(quirks)] as const),
  ["anthropic", createAnthropicKind()],
  ["gemini", createGeminiKind()],
  ["cohere", createCohereKind()],
  ["ollama", createOllamaKind()],
  ["echo", createOpenAiKind(echoOptions)],
]);

function kindOf(config: ProviderConfig): ProviderKind {
  switch (config.kind) {
    case "azure-openai":
      return createAzureOpenAiKind(config.api_version);
    case "bedrock":
      return createBedrockKind(config.region);
    case "vertex":
      return createVertexKind({ project: config.project, location: config.location });
    default: {
      const kind = kinds.get(config.kind);
      if (kind === undefined) {
        throw new Error(`no provider is of kind ${config.kind}`);
      }
      return kind;
    }
  }
}

/** Opens the providers of a configuration. No connection is made before the first request. */
export function createProviderSet(config: ProvidersConfig, deps: ProviderSetDeps): ProviderSet {
  const providers = new Map(Object.entries(config).map(([name, entry]) => [name, openProvider(name, entry, deps)]));
  return {
    get: (name) => providers.get(name),
    async close() {
      await Promise.all([...providers.values()].map((provider) => provider.upstream.close()));
    },
  };
}

function openProvider(name: string, config: ProviderConfig, deps: ProviderSetDeps): Provider {
  const kind = kindOf(config);
  if (config.kind === "echo") {
    return { name, kind, upstream: createEchoUpstream(), basePath: "", chooseKey: () => undefined, secrets: [] };
  }
  const baseUrl = new URL(config.base_url ?? kind.defaultBaseUrl);
  const keys = (config.api_keys ?? (config.api_key === undefined ? [] : [{ value: config.api_key, weight: 1 }]))
    .map((key) => ({ value: key.value.reveal(), weight: key.weight }))
    .filter((key) => key.value !== "none");
  const credential = openCredential(config, baseUrl.origin, deps);
  return {
    name,
    kind,
    ...(credential.authorize === undefined ? {} : { authorize: credential.authorize }),
    upstream: createHttpUpstream({
      origin: baseUrl.origin,
      connections: config.connections,
      connectTimeoutMs: config.connect_timeout,
    }),
    basePath: basePathOf(config.kind, baseUrl),
    chooseKey: weightedChoice(keys, deps.random),
    secrets: [
      ...keys.map((key) => key.value),
      ...credential.secrets,
      ...(config.base_url === undefined ? [] : [baseUrl.host]),
    ],
  };
}

/** The path in front of a kind's own. The address of Ollama's door for OpenAI's dialect serves for all of it. */
function basePathOf(kind: ProviderConfig["kind"], baseUrl: URL): string {
  const path = baseUrl.pathname.replace(/\/+$/, "");
  return kind === "ollama" ? path.replace(/\/v1$/, "") : path;
}

type Credential = Pick<Provider, "authorize" | "secrets">;

/** A credential that has to be worked out for each request; nothing for kinds whose keys are sent as they are. */
function openCredential(config: ProviderConfig, origin: string, deps: ProviderSetDeps): Credential {
  switch (config.kind) {
    case "bedrock":
      return openAwsCredential(config, origin, deps);
    case "vertex":
      return openGoogleCredential(config, deps);
    default:
      return { secrets: [] };
  }
}

function openGoogleCredential(
  config: Extract<ProviderConfig, { readonly kind: "vertex" }>,
  deps: ProviderSetDeps,
): Credential {
  if (config.api_key !== undefined || config.api_keys !== undefined) {
    return { secrets: [] };
  }
  const given = config.access_token?.reveal();
  if (given !== undefined) {
    return { authorize: createBearerAuthorizer(() => Promise.resolve(given)), secrets: [given] };
  }
  const json = config.credentials?.reveal();
  const fetchToken = createGoogleTokenSource({ json, file: config.credentials_file }, deps.now);
  return {
    authorize: createBearerAuthorizer(createTokenCache({ fetchToken, now: deps.now })),
    secrets: json === undefined ? [] : [json],
  };
}

function openAwsCredential(
  config: Extract<ProviderConfig, { readonly kind: "bedrock" }>,
  origin: string,
  deps: ProviderSetDeps,
): Credential {
  if (config.access_key_id === undefined || config.secret_access_key === undefined) {
    return { secrets: [] };
  }
  const accessKeyId = config.access_key_id.reveal();
  const secretAccessKey = config.secret_access_key.reveal();
  const sessionToken = config.session_token?.reveal();
  return {
    authorize: createAwsSigner({
      origin,
      region: config.region,
      service: "bedrock",
      accessKeyId,
      secretAccessKey,
      sessionToken,
      now: deps.now,
    }),
    secrets: [accessKeyId, secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken])],
  };
}

function weightedChoice(
  keys: readonly { readonly value: string; readonly weight: number }[],
  random: () => number,
): () => string | undefined {
  const [first] = keys;
  if (keys.length <= 1) {
    return () => first?.value;
  }
  const total = keys.reduce((sum, key) => sum + key.weight, 0);
  return () => {
    let left = random() * total;
    for (const key of keys) {
      left -= key.weight;
      if (left < 0) {
        return key.value;
      }
    }
    return keys.at(-1)?.value;
  };
}
