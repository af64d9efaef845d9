/** The makers whose models take what others do not. `unknown`: the id of a resource, which does not name its model. */
export type ModelFamily = "claude" | "nova" | "gpt-oss" | "other" | "unknown";

/** Whose model an id names: a model's, or that of a profile, which has a region in front. */
export function familyOf(model: string): ModelFamily {
  if (/(?:^|[./])anthropic\.|claude/.test(model)) {
    return "claude";
  }
  if (/amazon\.nova/.test(model)) {
    return "nova";
  }
  if (/openai\.gpt-oss/.test(model)) {
    return "gpt-oss";
  }
  return model.startsWith("arn:") && !model.includes("foundation-model/") ? "unknown" : "other";
}

/** Whether a model caches prompts. One that does not refuses a mark for it. */
export function takesCachePoints(family: ModelFamily): boolean {
  return family === "claude" || family === "nova" || family === "unknown";
}

/** Whether a model refuses instructions beside the conversation. */
export function refusesSystem(model: string): boolean {
  return /amazon\.titan-text|ai21\.j2|cohere\.command-(?:text|light-text)|mistral\.mi[sx]tral-\d+x?\d*b/.test(model);
}
