import { Buffer } from "node:buffer";
import { create, toBinary } from "@bufbuild/protobuf";
import { CodecError, ProviderStreamError } from "#codec/codec.ts";
import { ChatRequestSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { ExecuteRequestSchema } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ForwardStream } from "../../services/connector/answer/forward-stream.ts";
import type { AnswerReader } from "../../services/connector/answer/answer-reader.ts";
import { createCallerCodecs } from "../../services/connector/caller-codecs.ts";
import { providersConfig } from "../../services/connector/config.ts";
import { createProviderSet } from "../../services/connector/create-provider-set.ts";
import type { Provider } from "../../services/connector/providers/provider.ts";
import { prepareAttempt } from "../../services/connector/request/prepare-attempt.ts";
import type { Random } from "./random.ts";
import type { AnswerSeed } from "./seeds.ts";

/** What an answer came to. */
export interface PlayedAnswer {
  readonly output: Buffer;
  readonly contentType: string;
  /** Whether it ended as complete answers end. */
  readonly whole: boolean;
  /** Whether it is the provider's own stream, whose form is not the gateway's. */
  readonly isForwarded: boolean;
}

const callers = createCallerCodecs();
const base = { base_url: "http://127.0.0.1:9", api_key: "none" };
const accounts = createProviderSet(
  providersConfig.parse({
    openai: { kind: "openai-compatible", ...base },
    responses: { kind: "openai", ...base },
    anthropic: { kind: "anthropic", ...base },
    gemini: { kind: "gemini", ...base },
    cohere: { kind: "cohere", ...base },
    ollama: { kind: "ollama", ...base },
    bedrock: { kind: "bedrock", region: "us-east-1", ...base },
    vertex: { kind: "vertex", project: "p", location: "us-east5", ...base },
  }),
  { random: () => 0, now: () => 0 },
);

/** One account at a provider of each family. Nothing is sent to them. */
export const providers: readonly Provider[] = [
  "openai",
  "responses",
  "anthropic",
  "gemini",
  "cohere",
  "ollama",
  "bedrock",
  "vertex",
].map(accountOf);

const asked = { role: "user", content: "u" };
const bodies: ReadonlyMap<Dialect, Uint8Array> = new Map([
  [Dialect.OPENAI_CHAT, jsonOf({ model: "x", messages: [asked] })],
  [Dialect.OPENAI_COMPLETIONS, jsonOf({ model: "x", prompt: "u" })],
  [Dialect.OPENAI_RESPONSES, jsonOf({ model: "x", input: "u" })],
  [Dialect.ANTHROPIC_MESSAGES, jsonOf({ model: "x", max_tokens: 9, messages: [asked] })],
  [Dialect.GEMINI, jsonOf({ contents: [{ role: "user", parts: [{ text: "u" }] }] })],
  [
    Dialect.PENSTOCK,
    toBinary(
      ChatRequestSchema,
      create(ChatRequestSchema, {
        model: "x",
        messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: { text: "u" } } }] }],
      }),
    ),
  ],
]);

/** The dialects in which callers get answers. */
export const callerDialects: readonly Dialect[] = [...bodies.keys()];

/**
 * Reads an answer as the connector does, in pieces of a random length or, without `random`, in one. Undefined when it was refused as the connector
 * refuses answers: by a typed error, or as cut. Throws whatever else happens.
 */
export function playAnswer(
  seed: Pick<AnswerSeed, "kind" | "model" | "contentType">,
  bytes: Buffer,
  dialect: Dialect,
  random: Random | undefined,
): PlayedAnswer | undefined {
  // Only answers of OpenAI's Responses API come in its dialect, and only to callers who speak it.
  const spoken = seed.kind === "responses" ? Dialect.OPENAI_RESPONSES : dialect;
  const reader = readerOf(seed, spoken);
  const pieces: Uint8Array[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const size = random === undefined ? bytes.length : 1 + random.below(random.chance(0.5) ? 20 : 4_096);
      pieces.push(reader.push(Buffer.from(bytes.subarray(at, at + size))));
      at += size;
      if (reader.over) {
        break;
      }
    }
    const end = reader.finish();
    if (end === undefined) {
      return undefined;
    }
    pieces.push(end.bytes);
    return {
      output: Buffer.concat(pieces),
      contentType: reader.contentType,
      whole: end.end.complete,
      isForwarded: reader instanceof ForwardStream,
    };
  } catch (error) {
    if (error instanceof CodecError || error instanceof ProviderStreamError) {
      return undefined;
    }
    throw error;
  }
}

function readerOf(seed: Pick<AnswerSeed, "kind" | "model" | "contentType">, dialect: Dialect): AnswerReader {
  const account = accountOf(seed.kind);
  const prepared = prepareAttempt(
    create(ExecuteRequestSchema, {
      provider: seed.kind,
      model: seed.model,
      operation: Operation.CHAT,
      dialect,
      stream: !seed.contentType.startsWith("application/json"),
      body: bodies.get(dialect) ?? new Uint8Array(),
    }),
    account,
    callers,
    () => ({ fallbackId: "id", fallbackCreated: 1 }),
  );
  const reader = "createReader" in prepared ? prepared.createReader(seed.contentType) : undefined;
  if (reader === undefined) {
    throw new Error(`an answer of type ${seed.contentType} is not read`);
  }
  return reader;
}

function accountOf(name: string): Provider {
  const account = accounts.get(name);
  if (account === undefined) {
    throw new Error(`no provider is named ${name}`);
  }
  return account;
}

/** What is wrong with the form of an answer; undefined when nothing is. Typed answers are protobuf, and not looked at. */
export function findFormProblem({ output, contentType }: PlayedAnswer): string | undefined {
  const text = output.toString("utf8");
  if (contentType.startsWith("application/json")) {
    return isJson(text) ? undefined : `the answer is not JSON: ${text.slice(0, 200)}`;
  }
  if (!contentType.startsWith("text/event-stream")) {
    return undefined;
  }
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (!/^(?:$|:|data|event: |id|retry)/.test(line)) {
      return `a line of the stream is none of an event: ${line.slice(0, 200)}`;
    }
  }
  return undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function jsonOf(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
