import { create } from "@bufbuild/protobuf";
import { type Message, MessageSchema, type Part, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { reasoningPart, toolCallPart, toolResultPart, withCacheControl } from "../chat/chat-parts.ts";
import type { Json, JsonObject } from "../codec.ts";
import { decodeCacheControl, decodeContent } from "./decode-content.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";
import { readThoughts } from "./reasoning-details.ts";
import { refusalPart } from "./refusal-part.ts";
import { unsupportedParameter } from "./request-errors.ts";
import { readThoughtSignature } from "./thought-signature.ts";

const ROLES: ReadonlyMap<string, Role> = new Map([
  ["system", Role.SYSTEM],
  ["developer", Role.DEVELOPER],
  ["user", Role.USER],
  ["assistant", Role.ASSISTANT],
  ["tool", Role.TOOL],
]);

/** Reads messages that `validateMessages` has passed. Throws CodecError for what cannot be translated. */
export function decodeMessages(messages: readonly Json[]): Message[] {
  return messages.map((value, index) => decodeMessage(asObject(value) ?? {}, `messages[${index}]`));
}

function decodeMessage(message: JsonObject, param: string): Message {
  const role = ROLES.get(asString(message["role"]));
  if (role === undefined) {
    throw unsupportedParameter(`${param}.role`, "uses the deprecated role 'function'; use 'tool'");
  }
  if (message["function_call"] !== undefined && message["function_call"] !== null) {
    throw unsupportedParameter(`${param}.function_call`, "is deprecated; use 'tool_calls'");
  }
  const parts = decodeMessageParts(message, role, param);
  const cacheControl = decodeCacheControl(message);
  const last = parts.at(-1);
  if (cacheControl !== undefined && last !== undefined) {
    parts[parts.length - 1] = withCacheControl(last, cacheControl);
  }
  const name = role === Role.TOOL ? "" : asString(message["name"]);
  return create(MessageSchema, { role, parts, name });
}

function decodeMessageParts(message: JsonObject, role: Role, param: string): Part[] {
  const content = decodeContent(message["content"], `${param}.content`);
  if (role === Role.TOOL) {
    const toolCallId = asString(message["tool_call_id"]);
    return [toolResultPart({ toolCallId, name: asString(message["name"]), parts: content })];
  }
  if (role !== Role.ASSISTANT) {
    return content;
  }
  if (message["audio"] !== undefined && message["audio"] !== null) {
    throw unsupportedParameter(`${param}.audio`, "cannot be sent to this provider");
  }
  const signature = readThoughtSignature(message);
  const lastText = content.findLast((part) => part.content.case === "text");
  if (signature !== "" && lastText?.content.case === "text") {
    lastText.content.value.signature = signature;
  }
  const refusal = asString(message["refusal"]);
  return [
    ...readThoughts(message).map(reasoningPart),
    ...content,
    ...(refusal === "" ? [] : [refusalPart(refusal)]),
    ...asArray(message["tool_calls"]).map((call, index) =>
      decodeToolCall(asObject(call) ?? {}, `${param}.tool_calls[${index}]`),
    ),
  ];
}

function decodeToolCall(call: JsonObject, param: string): Part {
  const called = asObject(call["function"]);
  if (called === undefined) {
    throw unsupportedParameter(`${param}.type`, "must be 'function' for this provider");
  }
  const argumentsJson = asString(called["arguments"]).trim() || "{}";
  return toolCallPart({
    id: asString(call["id"]),
    name: asString(called["name"]),
    argumentsJson,
    signature: readThoughtSignature(call),
  });
}
