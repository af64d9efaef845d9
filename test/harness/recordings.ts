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
  /** The body as it came; JSON is written again from its parsed form. */
  readonly body: string;
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
    readonly transport: Recording["transport"];
    readonly body?: unknown;
    readonly sse_text?: string;
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

/** The recordings of rows of the index; those whose answers are neither JSON nor event streams are left out. */
export function readRecordingsOf(rows: readonly RecordingRow[]): readonly Recording[] {
  return rows
    .filter((row) => row.transport === "json" || row.transport === "sse")
    .map((row) => readRecording(fileURLToPath(new URL(row.file, recordingsFolder))));
}

function readRecording(file: string): Recording {
  // As above.
  const { id, provider, api, kind, features, request, response, derived } = JSON.parse(
    readFileSync(file, "utf8"),
  ) as ExchangeFile;
  const { status, headers, transport } = response;
  return {
    id,
    provider,
    api,
    kind,
    features: features ?? [],
    status,
    headers,
    transport,
    request: isObject(request?.body) ? request.body : undefined,
    body: transport === "sse" ? (response.sse_text ?? "") : JSON.stringify(response.body),
    derived: derived ?? {},
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
