import { Buffer } from "node:buffer";
import type { Json, JsonObject } from "#codec/codec.ts";
import { createSseDecoder } from "#codec/sse/sse-decoder.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";

/** What a provider keeps of an answer. */
export interface KeptOfAnswer {
  /** The id under which the provider keeps the answer; undefined when it does not. */
  readonly responseId: string | undefined;
  readonly itemIds: readonly string[];
  readonly contextTokens: bigint | undefined;
  /** Whether the answer is still being made. */
  readonly unfinished: boolean;
  /** Containers in which the model ran code. */
  readonly containerIds: readonly string[];
}

const nothing: KeptOfAnswer = {
  responseId: undefined,
  itemIds: [],
  contextTokens: undefined,
  unfinished: false,
  containerIds: [],
};
const mostIds = 1_000;

/** Watches an answer in its caller's dialect go by, to know what is kept of it. Holds the state of one answer. */
export interface KeptLearner {
  push(bytes: Uint8Array): void;
  /** What is known after the last bytes, or where an answer was cut. */
  finish(): KeptOfAnswer;
}

/** Makes the learner for a dialect; undefined where providers of the dialect keep nothing that can be named later. */
export function createKeptLearner(dialect: Dialect, stream: boolean): KeptLearner | undefined {
  switch (dialect) {
    case Dialect.OPENAI_RESPONSES:
      return stream ? new StreamLearner(isEndOfResponse, ofResponseEvents) : new WholeLearner(ofResponseBody);
    case Dialect.ANTHROPIC_MESSAGES:
      return stream ? new StreamLearner(hasContainer, ofMessageEvents) : new WholeLearner(ofMessageBody);
    default:
      return undefined;
  }
}

/** What is known of a response, whole or not, as OpenAI writes it. */
export function keptOfResponse(response: JsonObject): KeptOfAnswer {
  const { id, store, status, output } = response;
  const items = Array.isArray(output) ? (output as readonly Json[]).flatMap(objectOf) : [];
  const usage = objectOf(response["usage"])[0];
  const total = usage?.["total_tokens"];
  return {
    responseId: typeof id === "string" && id !== "" && store !== false ? id : undefined,
    itemIds: items
      .map((item) => item["id"])
      .filter(isId)
      .slice(0, mostIds),
    contextTokens: typeof total === "number" && Number.isSafeInteger(total) && total >= 0 ? BigInt(total) : undefined,
    unfinished: status === "queued" || status === "in_progress",
    containerIds: items
      .flatMap((item) => [item["container_id"], objectOf(item["environment"])[0]?.["container_id"]])
      .filter(isId)
      .slice(0, mostIds),
  };
}

/** Keeps the bytes of a whole answer, which are few pieces, and reads them at the end. */
class WholeLearner implements KeptLearner {
  readonly #read: (body: Buffer) => KeptOfAnswer;
  #pieces: Uint8Array[] = [];

  constructor(read: (body: Buffer) => KeptOfAnswer) {
    this.#read = read;
  }

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
  }

  finish(): KeptOfAnswer {
    const [only] = this.#pieces;
    const body =
      this.#pieces.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
        : Buffer.concat(this.#pieces);
    this.#pieces = [];
    return this.#read(body);
  }
}

/** Keeps only those pieces of a stream, each of whole events, that have something of interest. */
class StreamLearner implements KeptLearner {
  readonly #isNotable: (bytes: Buffer) => boolean;
  readonly #read: (events: readonly JsonObject[]) => KeptOfAnswer;
  #notable: JsonObject[] = [];

  constructor(isNotable: (bytes: Buffer) => boolean, read: (events: readonly JsonObject[]) => KeptOfAnswer) {
    this.#isNotable = isNotable;
    this.#read = read;
  }

  push(bytes: Uint8Array): void {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#isNotable(buffer)) {
      const events = createSseDecoder().push(buffer);
      this.#notable = [...this.#notable, ...events.flatMap(({ data }) => parse(data))].slice(-mostEvents);
    }
  }

  finish(): KeptOfAnswer {
    return this.#read(this.#notable);
  }
}

/** What matters is in the first and the last events of a stream; the bound is for one that is hostile. */
const mostEvents = 10;

/** Only the events that begin and end a response have the words; a tool's schema, which they repeat, is among them. */
function isEndOfResponse(bytes: Buffer): boolean {
  return bytes.includes('"output":') || bytes.includes('"output" :');
}

function ofResponseEvents(events: readonly JsonObject[]): KeptOfAnswer {
  const responses = events
    .filter(
      ({ type }) =>
        typeof type === "string" && /^response\.(?:created|queued|in_progress|completed|incomplete|failed)$/.test(type),
    )
    .flatMap(({ response }) => objectOf(response));
  const last = responses.at(-1);
  return last === undefined ? nothing : keptOfResponse(last);
}

function ofResponseBody(body: Buffer): KeptOfAnswer {
  const isStored = !body.includes('"store":false') && !body.includes('"store": false');
  const [response] = isStored || body.includes('"container_id"') ? parse(body.toString("utf8")) : [];
  return response === undefined ? nothing : keptOfResponse(response);
}

function hasContainer(bytes: Buffer): boolean {
  return bytes.includes('"container"');
}

function ofMessageEvents(events: readonly JsonObject[]): KeptOfAnswer {
  const holders = events.flatMap(({ type, delta, message }) =>
    type === "message_delta" ? objectOf(delta) : type === "message_start" ? objectOf(message) : [],
  );
  return containersOf(holders);
}

function ofMessageBody(body: Buffer): KeptOfAnswer {
  return hasContainer(body) ? containersOf(parse(body.toString("utf8"))) : nothing;
}

function containersOf(holders: readonly JsonObject[]): KeptOfAnswer {
  return { ...nothing, containerIds: holders.map(({ container }) => objectOf(container)[0]?.["id"]).filter(isId) };
}

function isId(value: Json | undefined): value is string {
  return typeof value === "string" && value !== "" && value.length <= 512;
}

/** The object, or nothing when it is none. */
function objectOf(value: Json | undefined): readonly JsonObject[] {
  // Neither null nor an array.
  return typeof value === "object" && value !== null && !Array.isArray(value) ? [value as JsonObject] : [];
}

function parse(text: string): readonly JsonObject[] {
  try {
    // Whatever JSON.parse makes is a Json.
    return objectOf(JSON.parse(text) as Json);
  } catch (error) {
    if (error instanceof SyntaxError) {
      // The final marker of a stream.
      return [];
    }
    throw error;
  }
}
