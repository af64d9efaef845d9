import { isJsonObject, stringOrEmpty } from "../json/json-fields.ts";
import type { JsonObject } from "../codec.ts";

const MADE_ID = /^gcall_[a-zA-Z0-9_-]+$/;

/**
 * The id of a call in an answer. Most of Gemini's models send none, so one is made of the answer's own id and the
 * call's place in it. Counting alone would give the first call of every answer the same id, and a client that sends the
 * whole conversation back would match an old result to a new call. Random ids would make the same answer decode
 * differently each time.
 */
export function readToolCallId(
  call: JsonObject,
  responseId: string,
  candidateIndex: number,
  callIndex: number,
): string {
  const id = stringOrEmpty(call["id"]);
  if (id !== "") {
    return id;
  }
  const seed = responseId === "" ? hashOf(JSON.stringify(isJsonObject(call) ? call : {})) : plain(responseId);
  return `gcall_${seed}_${candidateIndex === 0 ? "" : `${candidateIndex}_`}${callIndex}`;
}

/** The id of a call in a conversation that came without ids: its place, which stays as the conversation grows. */
export function placeToolCallId(contentIndex: number, partIndex: number): string {
  return `gcall_at_${contentIndex}_${partIndex}`;
}

/** True for an id made here: Gemini did not send it, so it is not sent to Gemini either. */
export function isMadeToolCallId(id: string): boolean {
  return MADE_ID.test(id);
}

function plain(text: string): string {
  return text.replaceAll(/[^a-zA-Z0-9_-]/g, "-").slice(0, 40);
}

/** FNV-1a, 32 bits: enough to tell the calls of one conversation apart. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash.toString(36);
}
