import { createBedrockConverseCodec } from "#codec/bedrock-converse/bedrock-converse-codec.ts";
import { createBedrockInvokeCodec } from "#codec/bedrock-converse/bedrock-invoke-codec.ts";
import { memberText } from "../request/edit-body.ts";
import type { ProviderCall, ProviderKind } from "./provider.ts";

const streamContentType = "application/vnd.amazon.eventstream";

/**
 * Amazon Bedrock in one region: every model by Converse, and Claude by InvokeModel too, where callers of Anthropic's
 * dialect get what they would get from Anthropic.
 */
export function createBedrockKind(region: string): ProviderKind {
  const converse: ProviderKind = {
    chat: createBedrockConverseCodec(),
    streamContentType,
    hasFinalMarker: true,
    defaultBaseUrl: `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`,
    path: (call) => pathOf(call, "converse", "converse-stream"),
    headers: bearerToken,
    // The model is in the path, and usage is always reported.
    forwardEdits: () => ({ edits: new Map(), stripUsage: false }),
    outputLimitEdit(tokens, body) {
      const given: unknown = JSON.parse(memberText(body, "inferenceConfig") ?? "{}");
      const config = typeof given === "object" && given !== null ? given : {};
      return ["inferenceConfig", JSON.stringify({ ...config, maxTokens: Number(tokens) })];
    },
  };
  const claude: ProviderKind = { ...converse, alsoSpeaks: [createInvokeKind(converse)] };
  return { ...converse, forModel: (model) => (isClaude.test(model) ? claude : converse) };
}

const isClaude = /(?:^|[./])anthropic\.claude-/;

/** Claude by InvokeModel: Anthropic's body, without what the path says. */
function createInvokeKind(converse: ProviderKind): ProviderKind {
  return {
    ...converse,
    chat: createBedrockInvokeCodec(),
    path: (call) => pathOf(call, "invoke", "invoke-with-response-stream"),
    forwardEdits(call) {
      const betas = (call.dialectHeaders?.["anthropic-beta"] ?? "").split(",").map((beta) => beta.trim());
      const wanted = betas.filter((beta) => beta !== "");
      return {
        edits: new Map([
          ["anthropic_version", '"bedrock-2023-05-31"'],
          ["model", undefined],
          ["stream", undefined],
          ...(wanted.length === 0 ? [] : [["anthropic_beta", JSON.stringify(wanted)] as const]),
        ]),
        stripUsage: false,
      };
    },
    outputLimitEdit: (tokens) => ["max_tokens", String(tokens)],
  };
}

/** An id may be an address with slashes and colons; it stands in the path as one segment. */
function pathOf(call: ProviderCall, whole: string, streamed: string): string {
  return `/model/${encodeURIComponent(call.model)}/${call.stream ? streamed : whole}`;
}

function bearerToken(apiKey: string | undefined): readonly string[] {
  return apiKey === undefined ? [] : ["authorization", `Bearer ${apiKey}`];
}
