import { createGeminiCountCodec } from "#codec/count-tokens/count-tokens-codec.ts";
import { createPredictEmbedCodec } from "#codec/vertex/predict-embed-codec.ts";
import { createVertexClaudeCodec, VERTEX_ANTHROPIC_VERSION } from "#codec/vertex/vertex-claude-codec.ts";
import { createVertexGeminiCodec } from "#codec/vertex/vertex-gemini-codec.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { createAnthropicKind } from "./anthropic.ts";
import { createGeminiKind } from "./gemini.ts";
import type { ProviderCall, ProviderKind } from "./provider.ts";

/** Where a project's models are. */
export interface VertexKindOptions {
  /** Absent with a key that names its project itself. */
  readonly project: string | undefined;
  /** A region, `us` or `eu`, or `global`. */
  readonly location: string;
}

/** Google's Vertex AI: Gemini, and Claude by its models' names. */
export function createVertexKind({ project, location }: VertexKindOptions): ProviderKind {
  const place = project === undefined ? "" : `/projects/${encodeURIComponent(project)}/locations/${location}`;
  const pathOf = (publisher: string, model: string, method: string): string =>
    // The version behind a Claude's name is set off by an `at`, which stands in a path as it is.
    `/v1${place}/publishers/${publisher}/models/${encodeURIComponent(model).replaceAll("%40", "@")}:${method}`;

  const gemini = createGeminiKind();
  // Vertex counts Claude's tokens by no method that is like Anthropic's.
  const { countTokens: _countTokens, ...anthropic } = createAnthropicKind();
  const common = { defaultBaseUrl: baseUrlOf(location), headers: gemini.headers };
  const claude: ProviderKind = {
    ...anthropic,
    ...common,
    chat: createVertexClaudeCodec(),
    path: (call) => pathOf("anthropic", call.model, call.stream ? "streamRawPredict" : "rawPredict"),
    forwardEdits: () => ({ edits: claudeEdits, stripUsage: false }),
  };
  return {
    ...gemini,
    ...common,
    chat: createVertexGeminiCodec(),
    embed: createPredictEmbedCodec(),
    countTokens: createGeminiCountCodec({ wrapped: false }),
    path: (call) => pathOf("google", call.model, methodOf(call)),
    forModel(model) {
      return model.startsWith("claude-") ? claude : this;
    },
  };
}

const claudeEdits = new Map([
  ["anthropic_version", JSON.stringify(VERTEX_ANTHROPIC_VERSION)],
  ["model", undefined],
]);

function methodOf(call: ProviderCall): string {
  if (call.operation === Operation.EMBED) {
    return "predict";
  }
  if (call.operation === Operation.COUNT_TOKENS) {
    return "countTokens";
  }
  return call.stream ? "streamGenerateContent?alt=sse" : "generateContent";
}

function baseUrlOf(location: string): string {
  switch (location) {
    case "global":
      return "https://aiplatform.googleapis.com";
    case "us":
    case "eu":
      return `https://aiplatform.${location}.rep.googleapis.com`;
    default:
      return `https://${location}-aiplatform.googleapis.com`;
  }
}
