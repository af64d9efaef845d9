import type { Gateway } from "../harness/start-gateway.ts";
import { sseData } from "../harness/sse-data.ts";
import type { AnswerFacts, DoorDialect } from "./answer-facts.ts";
import { type JsonRecord, parseJson, recordOf } from "./json.ts";
import { answerTimeoutMs, type DoorAnswer, type DoorError, type DoorRequest, type WireDoor } from "./wire-door.ts";

/** How one dialect is spoken over HTTP. */
export interface HttpDialect {
  readonly name: string;
  readonly dialect: DoorDialect;
  express(facts: AnswerFacts): AnswerFacts;
  path(request: DoorRequest): string;
  headers(key: string): Readonly<Record<string, string>>;
  body(request: DoorRequest): JsonRecord;
  readWhole(body: JsonRecord): AnswerFacts;
  readStream(events: readonly JsonRecord[]): AnswerFacts;
  /** The error that a body or an event is; undefined when it is none. */
  readError(body: JsonRecord): Omit<DoorError, "inStream"> | undefined;
  /** What the dialect's published shape does not allow in an answer. */
  checkWhole(body: JsonRecord, text: string): Promise<readonly string[]>;
  checkStream(events: readonly JsonRecord[], text: string): Promise<readonly string[]>;
}

/** Makes a door of a dialect. */
export function createHttpDoor(spoken: HttpDialect): WireDoor {
  return {
    name: spoken.name,
    dialect: spoken.dialect,
    express: (facts) => spoken.express(facts),
    async ask(gateway: Gateway, request: DoorRequest): Promise<DoorAnswer> {
      const sent = spoken.body(request);
      const response = await fetch(gateway.url + spoken.path(request), {
        method: "POST",
        headers: { "content-type": "application/json", ...spoken.headers(gateway.virtualKey) },
        body: JSON.stringify(sent),
        signal: AbortSignal.timeout(answerTimeoutMs),
      });
      const raw = await response.text();
      return {
        status: response.status,
        requestId: response.headers.get("x-request-id") ?? "",
        shouldRetry: response.headers.get("x-should-retry") ?? undefined,
        retryAfter: response.headers.get("retry-after") ?? undefined,
        sent,
        raw,
        ...(await readBody(spoken, request, response, raw)),
      };
    },
  };
}

type Read = Pick<DoorAnswer, "facts" | "error" | "shape">;

async function readBody(spoken: HttpDialect, request: DoorRequest, response: Response, raw: string): Promise<Read> {
  const contentType = response.headers.get("content-type") ?? "";
  if (response.status !== 200) {
    const error = spoken.readError(recordOf(parseJson(raw)));
    return {
      facts: undefined,
      error: error && { ...error, inStream: false },
      shape: error === undefined ? [`the error is not in the shape of the dialect: ${raw.slice(0, 200)}`] : [],
    };
  }
  const expected = request.stream ? "text/event-stream" : "application/json";
  const shape = contentType.startsWith(expected) ? [] : [`the content type is ${contentType}`];
  if (!request.stream) {
    const body = recordOf(parseJson(raw));
    return {
      facts: spoken.readWhole(body),
      error: undefined,
      shape: [...shape, ...(await spoken.checkWhole(body, raw))],
    };
  }
  const events = parseEvents(raw);
  const failure = events.map((event) => spoken.readError(event)).find((found) => found !== undefined);
  if (failure !== undefined) {
    return {
      facts: undefined,
      error: { ...failure, inStream: true },
      shape: raw.includes("data: [DONE]") ? [...shape, "a stream that failed ends with [DONE]"] : shape,
    };
  }
  return {
    facts: spoken.readStream(events),
    error: undefined,
    shape: [...shape, ...(await spoken.checkStream(events, raw))],
  };
}

/** The events of a stream as JSON, without OpenAI's final marker. */
function parseEvents(raw: string): readonly JsonRecord[] {
  return sseData(raw)
    .filter((data) => data !== "[DONE]")
    .map((data) => recordOf(parseJson(data)));
}
