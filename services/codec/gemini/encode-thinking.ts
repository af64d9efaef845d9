import type { Reasoning } from "#gen/penstock/chat/v1/chat_pb.ts";
import { toJsonNumber } from "../json/json-fields.ts";
import type { JsonObject } from "../codec.ts";

/** The budgets that Google's own OpenAI-compatible endpoint gives the efforts. */
const BUDGET_BY_EFFORT: ReadonlyMap<string, number> = new Map([
  ["none", 0],
  ["minimal", 512],
  ["low", 1024],
  ["medium", 8192],
  ["high", 24_576],
  ["xhigh", 24_576],
  ["max", 24_576],
]);

/** The least that 2.5 Pro thinks with; it cannot be stopped from thinking. */
const LEAST_PRO_BUDGET = 128;

/** Writes `thinkingConfig`: a level from Gemini 3 on, a budget before; undefined leaves it out. */
export function encodeThinking(
  reasoning: Reasoning | undefined,
  model: string,
  drop: (param: string) => void,
): JsonObject | undefined {
  if (reasoning === undefined) {
    return undefined;
  }
  const generation = readGeneration(model);
  if (generation !== undefined && generation < 2.5) {
    drop("reasoning_effort");
    return undefined;
  }
  const shown = reasoning.includeThoughts === undefined ? {} : { includeThoughts: reasoning.includeThoughts };
  const { effort, budgetTokens } = reasoning;
  if (generation !== undefined && generation >= 3 && effort !== "") {
    return { thinkingLevel: toLevel(effort, model), ...shown };
  }
  const budget = budgetTokens === undefined ? chooseBudget(effort, model) : toJsonNumber(budgetTokens);
  const config = { ...(budget === undefined ? {} : { thinkingBudget: budget }), ...shown };
  return Object.keys(config).length === 0 ? undefined : config;
}

/** True for models that refuse a conversation whose calls are not signed. */
export function isSignatureRequired(model: string): boolean {
  return (readGeneration(model) ?? 0) >= 3;
}

/** The generation of a Gemini model, such as 2.5; undefined for other names. */
function readGeneration(model: string): number | undefined {
  const match = /gemini-(\d+(?:\.\d+)?)/.exec(model);
  return match === null ? undefined : Number(match[1]);
}

function chooseBudget(effort: string, model: string): number | undefined {
  const budget = BUDGET_BY_EFFORT.get(effort);
  return budget === 0 && model.includes("-pro") ? LEAST_PRO_BUDGET : budget;
}

/** Gemini 3 cannot be stopped from thinking; Flash can be told to think least. */
function toLevel(effort: string, model: string): string {
  switch (effort) {
    case "none":
    case "minimal":
      return model.includes("flash") ? "minimal" : "low";
    case "xhigh":
    case "max":
      return "high";
    default:
      return effort;
  }
}
