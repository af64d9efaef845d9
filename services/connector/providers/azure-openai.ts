import { deploymentOperations } from "./openai-family.ts";
import { createOpenAiKind } from "./openai.ts";
import type { ProviderKind } from "./provider.ts";

/** OpenAI's models at Azure: the model is the deployment's name and stands in the path. */
export function createAzureOpenAiKind(apiVersion: string): ProviderKind {
  return createOpenAiKind({
    defaultBaseUrl: "",
    // Deployments of reasoning models refuse max_tokens, and those of older models take the newer name too.
    maxTokensField: "max_completion_tokens",
    extensions: false,
    streamOptions: true,
    completions: true,
    operations: deploymentOperations,
    path: (call, openAiPath) =>
      `/openai/deployments/${encodeURIComponent(call.model)}${openAiPath}?api-version=${encodeURIComponent(apiVersion)}`,
    headers: (apiKey) => (apiKey === undefined ? [] : ["api-key", apiKey]),
  });
}
