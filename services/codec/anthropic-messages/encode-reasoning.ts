import { type ChatRequest, type Reasoning, Role, ToolChoice_Mode } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { toJsonNumber } from "../json/json-fields.ts";

const SMALLEST_BUDGET = 1024;
const BUDGET_BY_EFFORT: ReadonlyMap<string, number> = new Map([
  ["low", 1024],
  ["medium", 4096],
  ["high", 16_384],
  ["xhigh", 32_768],
  ["max", 32_768],
]);

/** What a request for thinking becomes in Anthropic's dialect. */
export interface EncodedReasoning {
  /** The value of `thinking`; undefined leaves it out. */
  readonly thinking: JsonObject | undefined;
  /** The value of `output_config.effort`; undefined leaves it out. */
  readonly effort: string | undefined;
  /** True when the model will think, which forbids some sampling parameters. */
  readonly enabled: boolean;
  /** True when thinking was asked for and cannot be. */
  readonly dropped: boolean;
}

const LEFT_OUT: EncodedReasoning = { thinking: undefined, effort: undefined, enabled: false, dropped: false };

/** The generation of a Claude model, such as 4.6; undefined for names that do not say (aliases, the 3 family). */
export function readClaudeVersion(model: string): number | undefined {
  const match = /claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/.exec(model);
  return match === null ? undefined : Number(match[1]) + Number(match[2] ?? 0) / 100;
}

/** Writes how much to think: an effort for models that think adaptively (4.6 and later), a budget for the others. */
export function encodeReasoning(request: ChatRequest, model: string, maxTokens: number): EncodedReasoning {
  const { reasoning } = request;
  if (reasoning === undefined || (reasoning.effort === "" && reasoning.budgetTokens === undefined)) {
    return LEFT_OUT;
  }
  if (isOff(reasoning)) {
    return { ...LEFT_OUT, thinking: { type: "disabled" } };
  }
  // Anthropic refuses a forced tool while thinking, and the tool is what the answer is about.
  const mode = request.toolChoice?.mode;
  if (mode === ToolChoice_Mode.REQUIRED || mode === ToolChoice_Mode.NAMED) {
    return { ...LEFT_OUT, dropped: true };
  }
  const display =
    reasoning.includeThoughts === undefined ? {} : { display: reasoning.includeThoughts ? "summarized" : "omitted" };
  if ((readClaudeVersion(model) ?? 0) >= 4.06) {
    const effort = adaptiveEffort(reasoning);
    return { thinking: { type: "adaptive", ...display }, effort, enabled: true, dropped: false };
  }
  if (reasoning.effort === "minimal" && reasoning.budgetTokens === undefined) {
    return { ...LEFT_OUT, thinking: { type: "disabled" } };
  }
  const budget = chooseBudget(reasoning, maxTokens);
  if (budget === undefined || lacksThoughts(request)) {
    return { ...LEFT_OUT, dropped: true };
  }
  return {
    thinking: { type: "enabled", budget_tokens: budget, ...display },
    effort: undefined,
    enabled: true,
    dropped: false,
  };
}

function isOff(reasoning: Reasoning): boolean {
  return reasoning.budgetTokens === 0n || (reasoning.budgetTokens === undefined && reasoning.effort === "none");
}

function adaptiveEffort(reasoning: Reasoning): string | undefined {
  if (reasoning.effort !== "" && reasoning.effort !== "none") {
    return reasoning.effort === "minimal" ? "low" : reasoning.effort;
  }
  const budget = reasoning.budgetTokens ?? -1n;
  if (budget < 0n) {
    return undefined;
  }
  return budget <= 2048n ? "low" : budget <= 8192n ? "medium" : "high";
}

/** A budget below `maxTokens`; undefined when there is no room for one. */
function chooseBudget(reasoning: Reasoning, maxTokens: number): number | undefined {
  if (maxTokens <= SMALLEST_BUDGET) {
    return undefined;
  }
  const asked = reasoning.budgetTokens ?? -1n;
  if (asked > 0n) {
    return Math.min(Math.max(toJsonNumber(asked), SMALLEST_BUDGET), maxTokens - 1);
  }
  // An effort names no number, so half of the output is left for the answer.
  const wanted = BUDGET_BY_EFFORT.get(reasoning.effort) ?? 4096;
  return Math.min(wanted, Math.max(SMALLEST_BUDGET, Math.floor(maxTokens / 2)));
}

/**
 * True when the last turn called tools and its signed thoughts are not in the conversation (clients of other dialects
 * lose them): a model with a budget then refuses the request, and answers it without thinking.
 */
function lacksThoughts(request: ChatRequest): boolean {
  let last = request.messages.length - 1;
  while (last >= 0 && request.messages[last]?.role !== Role.ASSISTANT) {
    if (request.messages[last]?.role === Role.USER) {
      return false;
    }
    last--;
  }
  const parts = request.messages[last]?.parts ?? [];
  const called = parts.some((part) => part.content.case === "toolCall");
  const thought = parts.some(
    (part) =>
      part.content.case === "reasoning" &&
      (part.content.value.signature !== "" || part.content.value.redactedData !== ""),
  );
  return called && !thought;
}
