import type { Json, JsonObject } from "../codec.ts";
import { isJsonArray, isJsonObject } from "../json/json-fields.ts";
import { brokenRule, emptyArray, invalidType, invalidValue, missingParameter } from "../openai-chat/request-errors.ts";
import { typeOfItem } from "./decode-input.ts";
import { requireString } from "./validate-fields.ts";

const ROLES = ["assistant", "system", "developer", "user"];

// With these, what the input refers to may be stored at the provider.
const STATEFUL_FIELDS = ["previous_response_id", "conversation", "prompt"];

/**
 * Checks the input of a request, and that calls and their outputs belong together where the whole conversation is in it.
 * Throws CodecError.
 */
export function validateInput(body: JsonObject): void {
  const { input } = body;
  const isStateful = STATEFUL_FIELDS.some((field) => body[field] !== undefined && body[field] !== null);
  if (input === undefined || input === null) {
    if (isStateful) {
      return;
    }
    throw missingParameter("input");
  }
  if (typeof input === "string") {
    return;
  }
  if (!isJsonArray(input)) {
    throw invalidType("input", "one of a string or array of input items", input);
  }
  if (input.length === 0 && !isStateful) {
    throw emptyArray("input");
  }
  const open = new Set<string>();
  const answered = new Set<string>();
  let isPartial = isStateful;
  for (const [index, item] of input.entries()) {
    const param = `input[${index}]`;
    if (!isJsonObject(item)) {
      throw invalidType(param, "an object", item);
    }
    const type = validateItem(item, param);
    isPartial ||= type === "item_reference" || type === "compaction";
    if (type === "function_call" || type === "custom_tool_call") {
      open.add(requireString(item["call_id"], `${param}.call_id`));
    } else if (type === "function_call_output" || type === "custom_tool_call_output") {
      const id = requireString(item["call_id"], `${param}.call_id`);
      if (!isPartial && !open.has(id)) {
        throw brokenRule("input", `No tool call found for function call output with call_id ${id.slice(0, 64)}.`);
      }
      answered.add(id);
    }
  }
  const unanswered = [...open].find((id) => !answered.has(id));
  if (unanswered !== undefined && !isPartial) {
    throw brokenRule("input", `No tool output found for function call ${unanswered.slice(0, 64)}.`);
  }
}

/** Checks one item and returns its kind. */
function validateItem(item: JsonObject, param: string): string {
  const explicit = item["type"] ?? undefined;
  if (explicit !== undefined && typeof explicit !== "string") {
    throw invalidType(`${param}.type`, "a string", explicit);
  }
  const type = typeOfItem(item);
  switch (type) {
    case "":
      // A reference may leave its type out.
      if (typeof item["id"] === "string") {
        return "item_reference";
      }
      throw missingParameter(`${param}.type`);
    case "message": {
      const role = requireString(item["role"], `${param}.role`);
      if (!ROLES.includes(role)) {
        throw invalidValue(`${param}.role`, role, ROLES);
      }
      validateContent(item["content"], `${param}.content`);
      break;
    }
    case "function_call":
      requireString(item["name"], `${param}.name`);
      requireString(item["arguments"], `${param}.arguments`);
      break;
    case "custom_tool_call":
      requireString(item["name"], `${param}.name`);
      requireString(item["input"], `${param}.input`);
      break;
    case "custom_tool_call_output":
    case "function_call_output":
      validateContent(item["output"], `${param}.output`);
      break;
    case "reasoning": {
      const summary = item["summary"] ?? undefined;
      if (summary !== undefined && !isJsonArray(summary)) {
        throw invalidType(`${param}.summary`, "an array of objects", summary);
      }
      break;
    }
    default:
      break;
  }
  return type;
}

function validateContent(content: Json | undefined, param: string): void {
  if (typeof content === "string") {
    return;
  }
  if (content === undefined) {
    throw missingParameter(param);
  }
  if (!isJsonArray(content)) {
    throw invalidType(param, "one of a string or array of objects", content);
  }
  for (const [index, part] of content.entries()) {
    const partParam = `${param}[${index}]`;
    if (!isJsonObject(part)) {
      throw invalidType(partParam, "an object", part);
    }
    const type = requireString(part["type"], `${partParam}.type`);
    if (type === "input_text" || type === "output_text") {
      requireString(part["text"], `${partParam}.text`);
    }
  }
}
