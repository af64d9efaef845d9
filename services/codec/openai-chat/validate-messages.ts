import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import { arrayTooLong, brokenRule, emptyArray, invalidType, invalidValue, missingParameter } from "./request-errors.ts";

const MAX_MESSAGES = 100_000;
const MAX_TOOL_CALLS = 128;
const ROLES = ["system", "assistant", "user", "function", "tool", "developer"];
// Any of these lets an assistant message do without content.
const INSTEAD_OF_CONTENT = [
  "tool_calls",
  "function_call",
  "refusal",
  "audio",
  "reasoning_content",
  "reasoning",
  "reasoning_details",
  "thinking_blocks",
];

/** Checks the shape of `messages`, and that each tool call has its result right after it. Throws CodecError. */
export function validateMessages(messages: Json | undefined): void {
  if (messages === undefined) {
    throw missingParameter("messages");
  }
  if (!isJsonArray(messages)) {
    throw invalidType("messages", "an array of objects", messages);
  }
  if (messages.length === 0) {
    throw emptyArray("messages");
  }
  if (messages.length > MAX_MESSAGES) {
    throw brokenRule("messages", `'messages' has more than ${MAX_MESSAGES} elements.`, "context_length_exceeded");
  }
  // The calls of the last assistant message that have no result yet; undefined where no tool message may stand.
  let open: Set<string> | undefined;
  let openParam = "";
  for (const [index, message] of messages.entries()) {
    const param = `messages[${index}]`;
    if (!isJsonObject(message)) {
      throw invalidType(param, "an object", message);
    }
    const role = validateRole(message, param);
    validateContent(message, role, param);
    if (role === "tool") {
      answerCall(message, param, open);
      continue;
    }
    requireAnswers(open, openParam);
    open = role === "assistant" ? readCallIds(message["tool_calls"], `${param}.tool_calls`) : undefined;
    openParam = param;
  }
  requireAnswers(open, openParam);
}

function validateRole(message: JsonObject, param: string): string {
  const role = message["role"];
  if (role === undefined) {
    throw missingParameter(`${param}.role`);
  }
  if (typeof role !== "string") {
    throw invalidType(`${param}.role`, "a string", role);
  }
  if (!ROLES.includes(role)) {
    throw invalidValue(`${param}.role`, role, ROLES);
  }
  const name = message["name"];
  if (name !== undefined && name !== null && typeof name !== "string") {
    throw invalidType(`${param}.name`, "a string", name);
  }
  return role;
}

function validateContent(message: JsonObject, role: string, param: string): void {
  const content = message["content"];
  if (typeof content === "string") {
    return;
  }
  if (content === undefined || content === null) {
    if (
      role === "assistant" &&
      INSTEAD_OF_CONTENT.some((field) => message[field] !== undefined && message[field] !== null)
    ) {
      return;
    }
    if (role === "function") {
      return;
    }
    if (content === undefined) {
      throw missingParameter(`${param}.content`);
    }
    throw invalidType(`${param}.content`, "one of a string or array of objects", content);
  }
  if (!isJsonArray(content)) {
    throw invalidType(`${param}.content`, "one of a string or array of objects", content);
  }
  for (const [index, part] of content.entries()) {
    const partParam = `${param}.content[${index}]`;
    if (!isJsonObject(part)) {
      throw invalidType(partParam, "an object", part);
    }
    const type = part["type"];
    if (type === undefined) {
      throw missingParameter(`${partParam}.type`);
    }
    if (typeof type !== "string") {
      throw invalidType(`${partParam}.type`, "a string", type);
    }
    if (type === "text" && typeof part["text"] !== "string") {
      throw part["text"] === undefined
        ? missingParameter(`${partParam}.text`)
        : invalidType(`${partParam}.text`, "a string", part["text"]);
    }
  }
}

function readCallIds(calls: Json | undefined, param: string): Set<string> | undefined {
  if (calls === undefined || calls === null) {
    return undefined;
  }
  if (!isJsonArray(calls)) {
    throw invalidType(param, "an array of objects", calls);
  }
  if (calls.length === 0) {
    throw emptyArray(param);
  }
  if (calls.length > MAX_TOOL_CALLS) {
    throw arrayTooLong(param, MAX_TOOL_CALLS, calls.length);
  }
  const ids = new Set<string>();
  for (const [index, call] of calls.entries()) {
    const callParam = `${param}[${index}]`;
    if (!isJsonObject(call)) {
      throw invalidType(callParam, "an object", call);
    }
    const id = call["id"];
    if (typeof id !== "string") {
      throw id === undefined ? missingParameter(`${callParam}.id`) : invalidType(`${callParam}.id`, "a string", id);
    }
    if (ids.has(id)) {
      throw brokenRule(`${callParam}.id`, `Duplicate value for 'tool_call_id' in '${callParam}.id'.`);
    }
    ids.add(id);
    validateCalledFunction(call, callParam);
  }
  return ids;
}

function validateCalledFunction(call: JsonObject, param: string): void {
  const called = call["function"];
  if (called === undefined) {
    if (call["type"] === "custom") {
      return;
    }
    throw missingParameter(`${param}.function`);
  }
  if (!isJsonObject(called)) {
    throw invalidType(`${param}.function`, "an object", called);
  }
  if (typeof called["name"] !== "string") {
    throw called["name"] === undefined
      ? missingParameter(`${param}.function.name`)
      : invalidType(`${param}.function.name`, "a string", called["name"]);
  }
  if (typeof called["arguments"] !== "string") {
    throw called["arguments"] === undefined
      ? missingParameter(`${param}.function.arguments`)
      : invalidType(`${param}.function.arguments`, "a string", called["arguments"]);
  }
}

function answerCall(message: JsonObject, param: string, open: Set<string> | undefined): void {
  const id = message["tool_call_id"];
  if (id === undefined) {
    throw missingParameter(`${param}.tool_call_id`);
  }
  if (typeof id !== "string") {
    throw invalidType(`${param}.tool_call_id`, "a string", id);
  }
  if (open === undefined || !open.delete(id)) {
    throw brokenRule(
      `${param}.role`,
      "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    );
  }
}

function requireAnswers(open: ReadonlySet<string> | undefined, param: string): void {
  if (open === undefined || open.size === 0) {
    return;
  }
  const ids = [...open].slice(0, 5).join(", ");
  throw brokenRule(
    param,
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. These have none: ${ids}.`,
  );
}
