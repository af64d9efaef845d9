import type { JsonRecord } from "./json.ts";
import { listOf, numberOf, recordOf, textOf } from "./json.ts";

/** The dialects in which answers are given. */
export type DoorDialect = "openai" | "responses" | "anthropic" | "gemini";
/** The dialects in which answers were recorded. */
export type WireDialect = DoorDialect | "cohere" | "bedrock" | "ollama";

/** Why an answer ended, in one word for all dialects. `none`: it does not say. */
export type Finish = "stop" | "length" | "tool_calls" | "content_filter" | "error" | "none";

/** Tokens in classes that do not overlap, but for reasoning, which is a part of the output. */
export interface TokenClasses {
  readonly uncached: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
  readonly output: number;
  readonly reasoning: number;
}

/** What an answer says, whatever its dialect. Of several candidates the first. */
export interface AnswerFacts {
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly toolCalls: readonly { readonly name: string; readonly arguments: unknown }[];
  readonly finish: Finish;
  /** Undefined when the answer reports none. */
  readonly usage: TokenClasses | undefined;
}

const finishWords: { readonly [D in WireDialect]: Readonly<Record<string, Finish>> } = {
  openai: {
    length: "length",
    model_length: "length",
    tool_calls: "tool_calls",
    function_call: "tool_calls",
    content_filter: "content_filter",
    error: "error",
  },
  anthropic: {
    max_tokens: "length",
    model_context_window_exceeded: "length",
    tool_use: "tool_calls",
    refusal: "content_filter",
  },
  gemini: {
    MAX_TOKENS: "length",
    SAFETY: "content_filter",
    RECITATION: "content_filter",
    BLOCKLIST: "content_filter",
    PROHIBITED_CONTENT: "content_filter",
    SPII: "content_filter",
    IMAGE_SAFETY: "content_filter",
    MODEL_ARMOR: "content_filter",
    MALFORMED_FUNCTION_CALL: "error",
    UNEXPECTED_TOOL_CALL: "error",
    TOO_MANY_TOOL_CALLS: "error",
    MISSING_THOUGHT_SIGNATURE: "error",
    LANGUAGE: "error",
    OTHER: "error",
  },
  cohere: {
    MAX_TOKENS: "length",
    TOOL_CALL: "tool_calls",
    ERROR: "error",
    TIMEOUT: "error",
  },
  bedrock: {
    max_tokens: "length",
    model_context_window_exceeded: "length",
    tool_use: "tool_calls",
    guardrail_intervened: "content_filter",
    content_filtered: "content_filter",
    malformed_model_output: "error",
    malformed_tool_use: "error",
  },
  ollama: { length: "length" },
  responses: {
    "incomplete:max_output_tokens": "length",
    "incomplete:content_filter": "content_filter",
    failed: "error",
  },
};

/** What a dialect's word for the end means. */
export function readFinish(dialect: WireDialect, word: unknown, hasCalls: boolean): Finish {
  return typeof word !== "string" || word === ""
    ? "none"
    : settleFinish(finishWords[dialect][word] ?? "stop", hasCalls);
}

/** Where tools are called an ordinary stop asks for their results: Google always says so, OpenAI for a named tool. */
export function settleFinish(finish: Finish, hasCalls: boolean): Finish {
  return finish === "stop" && hasCalls ? "tool_calls" : finish;
}

/** Reads a usage object of a dialect, with the deviations that providers are known for. */
export function readUsage(dialect: WireDialect, native: unknown): TokenClasses | undefined {
  if (typeof native !== "object" || native === null || Object.keys(native).length === 0) {
    return undefined;
  }
  return usageReaders[dialect](recordOf(native));
}

const usageReaders: { readonly [D in WireDialect]: (usage: JsonRecord) => TokenClasses } = {
  openai(usage) {
    const details = recordOf(usage["prompt_tokens_details"]);
    const prompt = numberOf(usage["prompt_tokens"]);
    const completion = numberOf(usage["completion_tokens"]);
    const total = numberOf(usage["total_tokens"]);
    const cached =
      numberOf(details["cached_tokens"]) ||
      numberOf(usage["prompt_cache_hit_tokens"]) ||
      numberOf(usage["num_cached_tokens"]) ||
      numberOf(usage["cached_tokens"]);
    // Azure was seen to report more cached tokens than the prompt has; a part is no larger than its whole.
    const cacheRead = Math.min(cached, prompt);
    const cacheWrite = numberOf(details["cache_write_tokens"]);
    const stated = numberOf(recordOf(usage["completion_tokens_details"])["reasoning_tokens"]);
    // Some count reasoning beside the completion, and the total tells; one that tells nothing else has only the total.
    const beside = total - prompt - completion;
    const isBeside = beside > 0 && (beside === stated || usage["completion_tokens_details"] === undefined);
    return {
      uncached: prompt - cacheRead - cacheWrite,
      cacheRead,
      cacheWrite,
      // Reasoning is output, also where a provider reports more of it than of that.
      output: Math.max(completion + (isBeside ? beside : 0), stated),
      reasoning: isBeside ? Math.max(beside, stated) : stated,
    };
  },
  anthropic(usage) {
    return {
      uncached: numberOf(usage["input_tokens"]),
      cacheRead: numberOf(usage["cache_read_input_tokens"]),
      cacheWrite: numberOf(usage["cache_creation_input_tokens"]),
      output: numberOf(usage["output_tokens"]),
      reasoning: numberOf(recordOf(usage["output_tokens_details"])["thinking_tokens"]),
    };
  },
  gemini(usage) {
    const cacheRead = numberOf(usage["cachedContentTokenCount"]);
    const reasoning = numberOf(usage["thoughtsTokenCount"]);
    return {
      uncached: numberOf(usage["promptTokenCount"]) + numberOf(usage["toolUsePromptTokenCount"]) - cacheRead,
      cacheRead,
      cacheWrite: 0,
      output: numberOf(usage["candidatesTokenCount"]) + reasoning,
      reasoning,
    };
  },
  bedrock(usage) {
    return {
      uncached: numberOf(usage["inputTokens"]),
      cacheRead: numberOf(usage["cacheReadInputTokens"]),
      cacheWrite: numberOf(usage["cacheWriteInputTokens"]),
      output: numberOf(usage["outputTokens"]),
      reasoning: 0,
    };
  },
  ollama(usage) {
    return {
      uncached: numberOf(usage["prompt_eval_count"]),
      cacheRead: 0,
      cacheWrite: 0,
      output: numberOf(usage["eval_count"]),
      reasoning: 0,
    };
  },
  responses(usage) {
    const details = recordOf(usage["input_tokens_details"]);
    const cacheRead = numberOf(details["cached_tokens"]);
    const cacheWrite = numberOf(details["cache_write_tokens"]);
    return {
      uncached: numberOf(usage["input_tokens"]) - cacheRead - cacheWrite,
      cacheRead,
      cacheWrite,
      output: numberOf(usage["output_tokens"]),
      reasoning: numberOf(recordOf(usage["output_tokens_details"])["reasoning_tokens"]),
    };
  },
  cohere(usage) {
    // What is paid for: the other count has Cohere's own preamble in it, most of which it caches.
    const billed = recordOf(usage["billed_units"]);
    return {
      uncached: numberOf(billed["input_tokens"]),
      cacheRead: 0,
      cacheWrite: 0,
      output: numberOf(billed["output_tokens"]),
      reasoning: numberOf(recordOf(usage["tokens"])["reasoning_tokens"]),
    };
  },
};

/** A function that a request offers, in one form for all dialects. */
export interface PlainTool {
  readonly name: string;
  readonly description: string;
  /** A JSON Schema; undefined for a function without arguments. */
  readonly parameters: JsonRecord | undefined;
}

/** The functions that a recorded request offers. Tools that the provider runs itself are left out. */
export function readTools(dialect: WireDialect, body: JsonRecord | undefined): readonly PlainTool[] {
  const holder = dialect === "bedrock" ? recordOf(body?.["toolConfig"]) : body;
  return listOf(holder?.["tools"]).flatMap((tool) => toolReaders[dialect](recordOf(tool)));
}

const readFunction = ({ type, function: called }: JsonRecord): readonly PlainTool[] =>
  type === "function" ? plainTool(recordOf(called), "parameters") : [];

const toolReaders: { readonly [D in WireDialect]: (tool: JsonRecord) => readonly PlainTool[] } = {
  openai: readFunction,
  cohere: readFunction,
  responses: (tool) => (tool["type"] === "function" ? plainTool(tool, "parameters") : []),
  ollama: readFunction,
  bedrock(tool) {
    const spec = recordOf(tool["toolSpec"]);
    return tool["toolSpec"] === undefined
      ? []
      : plainTool({ ...spec, parameters: recordOf(spec["inputSchema"])["json"] }, "parameters");
  },
  anthropic: (tool) => (tool["input_schema"] === undefined ? [] : plainTool(tool, "input_schema")),
  gemini: (tool) =>
    listOf(tool["functionDeclarations"] ?? tool["function_declarations"]).flatMap((declared) => {
      const { name, description } = recordOf(declared);
      // Google's schemas are spelled in Google's own way, and what a tool takes does not change a recorded answer.
      return plainTool({ name, description }, "parameters");
    }),
};

function plainTool(tool: JsonRecord, parametersName: string): readonly PlainTool[] {
  const parameters = tool[parametersName];
  return [
    {
      name: textOf(tool["name"]),
      description: textOf(tool["description"]),
      parameters: typeof parameters === "object" && parameters !== null ? recordOf(parameters) : undefined,
    },
  ];
}
