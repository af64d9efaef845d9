import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { asArray, asObject } from "../json/json-values.ts";
import type { WrittenEnd } from "./map-finish-reason.ts";
import { writeUsage } from "./map-usage.ts";
import { splitToolName, textOfArguments } from "./tool-names.ts";

/** Whether an item of the output is whole. */
export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** What all forms of one response share. */
export interface ResponseHead {
  readonly id: string;
  /** Unix seconds. */
  readonly createdAt: number;
  readonly model: string;
}

// OpenAI accepts ids of items of up to 64 of these characters, and clients send the ids back.
const OTHER_CHARACTERS = /[^a-zA-Z0-9]/g;
const LONGEST_CORE = 48;

/** The id of a response, with the beginning that clients expect whoever answered. */
export function writeResponseId(id: string): string {
  return id.startsWith("resp_") ? id : `resp_${coreOf(id)}`;
}

/** The id of an item: unique in its response, and over responses as far as the id of the response is. */
export function writeItemId(kind: "msg" | "rs" | "fc" | "ctc" | "ig", responseId: string, outputIndex: number): string {
  return `${kind}_${coreOf(responseId)}_${outputIndex}`;
}

/** A message of the assistant. */
export function messageItem(id: string, content: readonly Json[], status: ItemStatus): JsonObject {
  return { id, type: "message", status, role: "assistant", content };
}

/** Text in a message. */
export function outputText(text: string, logprobs: readonly Json[]): JsonObject {
  return { type: "output_text", text, annotations: [], logprobs };
}

/** A refusal in a message. */
export function outputRefusal(refusal: string): JsonObject {
  return { type: "refusal", refusal };
}

/** A thought: its text as a summary, and what is to be sent back unchanged. */
export function reasoningItem(id: string, text: string, encryptedContent: string): JsonObject {
  return {
    id,
    type: "reasoning",
    summary: text === "" ? [] : [summaryText(text)],
    encrypted_content: encryptedContent === "" ? null : encryptedContent,
  };
}

/** One text of a summary. */
export function summaryText(text: string): JsonObject {
  return { type: "summary_text", text };
}

/** A call of a tool. */
export function callItem(
  id: string,
  call: { readonly id: string; readonly name: string; readonly argumentsJson: string },
  status: ItemStatus,
): JsonObject {
  const { namespace, name, takesText } = splitToolName(call.name);
  const inside = namespace === "" ? {} : { namespace };
  return takesText
    ? {
        id,
        type: "custom_tool_call",
        status,
        call_id: call.id,
        name,
        ...inside,
        input: textOfArguments(call.argumentsJson),
      }
    : { id, type: "function_call", status, call_id: call.id, name, ...inside, arguments: call.argumentsJson };
}

/** What the id of a call's item begins with. */
export function kindOfCall(name: string): "fc" | "ctc" {
  return splitToolName(name).takesText ? "ctc" : "fc";
}

/** A picture that the model made. */
export function imageItem(id: string, base64: string): JsonObject {
  return { id, type: "image_generation_call", status: "completed", result: base64 };
}

/** A whole response. Settings that OpenAI repeats from the request have the values that it gives to absent ones. */
export function writeResponse(
  head: ResponseHead,
  end: WrittenEnd | undefined,
  output: readonly Json[],
  usage: Usage | undefined,
): JsonObject {
  return {
    id: head.id,
    object: "response",
    created_at: head.createdAt,
    status: end?.status ?? "in_progress",
    background: false,
    error: end?.error ?? null,
    incomplete_details: end?.incomplete_details ?? null,
    instructions: null,
    max_output_tokens: null,
    max_tool_calls: null,
    model: head.model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: false,
    temperature: null,
    text: { format: { type: "text" } },
    tool_choice: "auto",
    tools: [],
    top_p: null,
    truncation: "disabled",
    usage: writeUsage(usage),
    metadata: {},
    access_programs: null,
  };
}

/** Log probabilities as a list of tokens, from the form of chat completions, in which the intermediate form has them. */
export function writeLogprobs(logprobsJson: string): readonly Json[] {
  if (logprobsJson === "") {
    return [];
  }
  // Codecs write this field with JSON.stringify, so it parses to a JSON value.
  return asArray(asObject(JSON.parse(logprobsJson) as Json)?.["content"]);
}

/** Log probabilities in the form of chat completions, as JSON text; empty for an empty list. */
export function readLogprobs(tokens: readonly Json[]): string {
  return tokens.length === 0 ? "" : JSON.stringify({ content: tokens, refusal: null });
}

function coreOf(id: string): string {
  return id
    .replace(/^(?:resp_|chatcmpl-|msg_)/, "")
    .replaceAll(OTHER_CHARACTERS, "")
    .slice(-LONGEST_CORE);
}
