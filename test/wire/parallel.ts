import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { ChatCodec, JsonObject } from "#codec/codec.ts";
import { createAnthropicMessagesCodec } from "#codec/anthropic-messages/anthropic-messages-codec.ts";
import { createBedrockConverseCodec } from "#codec/bedrock-converse/bedrock-converse-codec.ts";
import { createGeminiCodec } from "#codec/gemini/gemini-codec.ts";
import { createOpenAiChatCodec } from "#codec/openai-chat/openai-chat-codec.ts";
import { recordingsFolder } from "../harness/recordings.ts";
import { judgeProblems } from "./exceptions.ts";
import { isRecord, type JsonRecord, textOf } from "./json.ts";
import type { WireResult } from "./play-recordings.ts";

/** A dialect into which OpenAI's requests are translated. */
interface ParallelDialect {
  /** The column of the table. */
  readonly door: string;
  readonly api: string;
  readonly codec: ChatCodec;
}

/** The column of the table for what no door is asked in. */
export const bedrockColumn = "bedrock";

const dialects: readonly ParallelDialect[] = [
  { door: "anthropic", api: "anthropic.messages", codec: createAnthropicMessagesCodec() },
  { door: "gemini", api: "gemini.generateContent", codec: createGeminiCodec() },
  { door: bedrockColumn, api: "bedrock.converse", codec: createBedrockConverseCodec() },
];
const openAi = createOpenAiChatCodec();

interface Step {
  readonly request: { readonly path: string; readonly body: JsonRecord };
}

interface Scenario {
  readonly scenario: string;
  readonly apis: Readonly<Record<string, readonly Step[]>>;
}

/**
 * Translates OpenAI's request of every scenario into each dialect in which the same intent was recorded, and compares the
 * two field by field. None where the recordings are not there.
 */
export function compareParallel(): readonly WireResult[] {
  const folder = new URL("_parallel/", recordingsFolder);
  if (!existsSync(folder)) {
    return [];
  }
  return readdirSync(folder).flatMap((file) => {
    // The format that the folder's own README promises.
    const { scenario, apis } = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Scenario;
    return (apis["openai.chat.completions"] ?? []).flatMap((step, index) =>
      dialects.flatMap((dialect) => {
        const own = apis[dialect.api]?.[index];
        return own === undefined ? [] : [compareStep(dialect, scenario, index, step, own)];
      }),
    );
  });
}

function compareStep(dialect: ParallelDialect, scenario: string, index: number, step: Step, own: Step): WireResult {
  const model = textOf(own.request.body["model"]) || (/models?\/([^:/]+)/.exec(own.request.path)?.[1] ?? "");
  const id = `parallel.${scenario} ${index + 1}`;
  let problems: readonly string[];
  try {
    // Recorded as JSON, which is what the codecs take.
    const request = openAi.decodeRequest(step.request.body as JsonObject);
    const { body } = dialect.codec.encodeRequest(request, { model, stream: false, defaultMaxOutputTokens: 1024 });
    problems = listDifferences(normalize(body), normalize(own.request.body), "");
  } catch (error) {
    problems = [String(error)];
  }
  return { id, provider: "_parallel", door: dialect.door, ...judgeProblems(id, problems) };
}

/** Gives a request one spelling of what its dialect lets clients spell in several ways. */
function normalize(body: JsonRecord): unknown {
  const callIds = new Map<unknown, string>();

  function visit(value: unknown, parent: string): unknown {
    if (Array.isArray(value)) {
      return value.map((each) => visit(each, ""));
    }
    if (!isRecord(value)) {
      return value;
    }
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => normalizeMember(value, parent, name, member)),
    );
  }

  function normalizeMember(holder: JsonRecord, parent: string, name: string, member: unknown): [string, unknown] {
    const isCall = holder["type"] === "tool_use" || /^function(?:Call|Response)$/.test(parent);
    switch (name) {
      case "id":
      case "tool_use_id":
      case "toolUseId":
        // Each provider makes ids in its own way; what counts is which call a result names.
        return [name, isCall || name !== "id" ? countId(member) : member];
      case "content":
      case "system":
        // A text may stand for a list with one text.
        return [name, typeof member === "string" ? [{ type: "text", text: member }] : visit(member, name)];
      case "parameters":
      case "parametersJsonSchema":
        return ["parameters", lowerTypes(member)];
      case "responseSchema":
      case "responseJsonSchema":
        return ["responseSchema", lowerTypes(member)];
      default:
        return [name, visit(member, name)];
    }
  }

  function countId(id: unknown): string {
    const known = callIds.get(id) ?? `call ${callIds.size}`;
    callIds.set(id, known);
    return known;
  }

  return visit(body, "");
}

/** Google's own schemas name types in capitals. */
function lowerTypes(schema: unknown): unknown {
  if (Array.isArray(schema)) {
    return schema.map(lowerTypes);
  }
  if (!isRecord(schema)) {
    return schema;
  }
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) => [
      name,
      name === "type" && typeof value === "string" ? value.toLowerCase() : lowerTypes(value),
    ]),
  );
}

/** The fields that differ, each with both values. */
function listDifferences(translated: unknown, recorded: unknown, path: string): readonly string[] {
  if (typeof translated === "object" && translated !== null && typeof recorded === "object" && recorded !== null) {
    const left = new Map<string, unknown>(Object.entries(translated));
    const right = new Map<string, unknown>(Object.entries(recorded));
    return [...new Set([...left.keys(), ...right.keys()])].flatMap((name) =>
      listDifferences(
        left.get(name),
        right.get(name),
        Array.isArray(translated) ? `${path}[${name}]` : `${path}.${name}`,
      ),
    );
  }
  return Object.is(translated, recorded) ? [] : [`${path}: ${write(translated)}, recorded ${write(recorded)}`];
}

function write(value: unknown): string {
  return value === undefined ? "absent" : JSON.stringify(value);
}
