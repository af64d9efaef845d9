import { Buffer } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One exchange that was recorded at a real provider. */
export interface Recording {
  readonly id: string;
  readonly provider: string;
  readonly api: string;
  readonly kind: "sync" | "stream" | "error";
  readonly features: readonly string[];
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly transport: "json" | "sse";
  /** The body as it came; JSON is written again from its parsed form, and streams of other forms as server-sent events. */
  readonly body: string;
  /** The bytes that the provider sent, and their content type. */
  readonly bytes: Buffer;
  readonly contentType: string;
  /** The body of the request; undefined where it is not known or no JSON object. */
  readonly request: Readonly<Record<string, unknown>> | undefined;
  /** What whoever recorded it found in the answer. Absent where the answer has none of it. */
  readonly derived: {
    readonly text?: string;
    readonly reasoning?: string;
    readonly refusal?: string;
    /** What Cohere's models say beside their calls. */
    readonly tool_plan?: string;
    /** The provider's own word. */
    readonly finish?: string;
    /** The provider's own report. */
    readonly usage?: object;
    readonly tool_calls?: readonly { readonly name: string; readonly arguments: unknown }[];
    /** The arguments came in pieces that the recorder did not put together. */
    readonly tool_call_args_streamed_partially?: boolean;
  };
}

/** What the index says of an exchange. */
export interface RecordingRow {
  readonly id: string;
  readonly file: string;
  readonly provider: string;
  readonly api: string;
  readonly kind: Recording["kind"];
  readonly transport: string;
}

interface ExchangeFile {
  readonly id: string;
  readonly provider: string;
  readonly api: string;
  readonly kind: Recording["kind"];
  readonly features?: readonly string[];
  readonly request: { readonly body?: unknown } | null;
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly transport: string;
    readonly body?: unknown;
    readonly sse_text?: string;
    readonly ndjson_text?: string;
    readonly eventstream_base64?: string;
    readonly eventstream_decoded?: readonly { readonly payload: unknown }[];
  };
  readonly derived?: Recording["derived"];
}

/** Where the recordings lie when they are there. */
export const recordingsFolder = new URL("../../../shared/wire/exchanges/", import.meta.url);

/** All exchanges that were recorded, of any transport; undefined when the recordings are not there. */
export function listRecordings(): readonly RecordingRow[] | undefined {
  const index = new URL("index.json", recordingsFolder);
  if (!existsSync(index)) {
    return undefined;
  }
  // The format that the folder's own README promises; what differs fails the tests that read it.
  return JSON.parse(readFileSync(index, "utf8")) as readonly RecordingRow[];
}

/**
 * The recordings of some APIs, written `provider/api`, whose answers are JSON or event streams. They lie beside the
 * project and are not part of it: undefined when they are not there.
 */
export function readRecordings(apis: readonly string[]): readonly Recording[] | undefined {
  const rows = listRecordings();
  return rows && readRecordingsOf(rows.filter((row) => apis.includes(`${row.provider}/${row.api}`)));
}

const transports: readonly string[] = ["json", "sse", "ndjson", "aws-eventstream"];

/** The recordings of rows of the index; those whose answers are neither JSON nor streams are left out. */
export function readRecordingsOf(rows: readonly RecordingRow[]): readonly Recording[] {
  return rows
    .filter((row) => transports.includes(row.transport))
    .map((row) => readRecording(fileURLToPath(new URL(row.file, recordingsFolder))));
}

function readRecording(file: string): Recording {
  // As above.
  const { id, provider, api, kind, features, request, response, derived } = JSON.parse(
    readFileSync(file, "utf8"),
  ) as ExchangeFile;
  const { status, headers } = response;
  return {
    id,
    provider,
    api,
    kind,
    features: features ?? [],
    status,
    headers,
    ...readBody(response),
    request: isObject(request?.body) ? request.body : undefined,
    derived: derived ?? {},
  };
}

function readBody(response: ExchangeFile["response"]): Pick<Recording, "transport" | "body" | "bytes" | "contentType"> {
  switch (response.transport) {
    case "sse": {
      const body = response.sse_text ?? "";
      return { transport: "sse", body, bytes: Buffer.from(body), contentType: "text/event-stream" };
    }
    case "ndjson": {
      const text = response.ndjson_text ?? "";
      const lines = text.split("\n").filter((line) => line.trim() !== "");
      return {
        transport: "sse",
        body: lines.map((line) => `data: ${line}\n\n`).join(""),
        bytes: Buffer.from(text),
        contentType: "application/x-ndjson",
      };
    }
    case "aws-eventstream":
      return {
        transport: "sse",
        body: (response.eventstream_decoded ?? [])
          .map(({ payload }) => `data: ${JSON.stringify(payload)}\n\n`)
          .join(""),
        bytes: Buffer.from(response.eventstream_base64 ?? "", "base64"),
        contentType: "application/vnd.amazon.eventstream",
      };
    default: {
      const body = JSON.stringify(response.body);
      return { transport: "json", body, bytes: Buffer.from(body), contentType: "application/json" };
    }
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
