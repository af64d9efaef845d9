import type { ReasoningPart } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { Json, JsonObject } from "../codec.ts";
import { asArray, asObject, asString } from "../json/json-values.ts";

/** A thought as the extensions of OpenAI's dialect carry it. */
export interface Thought {
  readonly text: string;
  readonly signature: string;
  readonly redactedData: string;
}

/**
 * Reads the thoughts of a message or a delta. `reasoning_details` and `thinking_blocks` carry signatures and win;
 * `reasoning_content` and `reasoning` are text only.
 */
export function readThoughts(holder: JsonObject): readonly Thought[] {
  const detailed = readDetailedThoughts(holder);
  if (detailed.length > 0) {
    return detailed;
  }
  const text = readReasoningText(holder);
  return text === "" ? [] : [{ text, signature: "", redactedData: "" }];
}

/** Reads the thoughts of the fields that carry signatures. */
export function readDetailedThoughts(holder: JsonObject): readonly Thought[] {
  const details = asArray(holder["reasoning_details"]);
  const entries = details.length > 0 ? details : asArray(holder["thinking_blocks"]);
  return entries.map(readThought).filter((thought) => thought !== undefined);
}

/** Reads the text of the fields that carry text only; servers that send both say the same in them. */
export function readReasoningText(holder: JsonObject): string {
  return asString(holder["reasoning_content"]) || asString(holder["reasoning"]);
}

/** Writes a signed or encrypted thought as one entry of `reasoning_details`. */
export function writeThought(thought: Thought, index: number): JsonObject {
  if (thought.redactedData !== "") {
    return { type: "reasoning.encrypted", data: thought.redactedData, index };
  }
  return { type: "reasoning.text", text: thought.text, signature: thought.signature, index };
}

/**
 * The fields of a message that carry its thoughts: their text for everyone, and the details when there is a signature
 * or an encrypted thought to send back.
 */
export function writeThoughts(thoughts: readonly ReasoningPart[]): JsonObject {
  const text = thoughts.map((thought) => thought.text).join("");
  const isOpaque = thoughts.some((thought) => thought.signature !== "" || thought.redactedData !== "");
  return {
    ...(text === "" ? {} : { reasoning_content: text }),
    ...(isOpaque ? { reasoning_details: thoughts.map(writeThought) } : {}),
  };
}

function readThought(entry: Json): Thought | undefined {
  const object = asObject(entry);
  const signature = asString(object?.["signature"]);
  switch (object?.["type"]) {
    case "reasoning.text":
    case "thinking": {
      const text = asString(object["text"]) || asString(object["thinking"]);
      return text === "" && signature === "" ? undefined : { text, signature, redactedData: "" };
    }
    case "reasoning.summary": {
      const text = asString(object["summary"]);
      return text === "" ? undefined : { text, signature, redactedData: "" };
    }
    case "reasoning.encrypted":
    case "redacted_thinking": {
      const redactedData = asString(object["data"]);
      return redactedData === "" ? undefined : { text: "", signature: "", redactedData };
    }
    default:
      return undefined;
  }
}
