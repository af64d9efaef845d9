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
  /** What whoever recorded it found in the answer. Absent where the answer has none of it. */
  readonly derived: {
    readonly text?: string;
    /** The provider's own report. */
    readonly usage?: object;
    readonly tool_calls?: readonly { readonly name: string; readonly arguments: unknown }[];
  };
}

interface IndexRow {
  readonly id: string;
  readonly file: string;
  readonly provider: string;
  readonly api: string;
  readonly transport: string;
}

interface ExchangeFile {
  readonly id: string;
  readonly provider: string;
  readonly api: string;
  readonly kind: Recording["kind"];
  readonly features?: readonly string[];
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly transport: Recording["transport"];
    readonly body?: unknown;
    readonly sse_text?: string;
  };
  readonly derived?: Recording["derived"];
}

const folder = new URL("../../../shared/wire/exchanges/", import.meta.url);

/**
 * The recordings of some APIs, written `provider/api`, whose answers are JSON or event streams. They lie beside the
 * project and are not part of it: undefined when they are not there.
 */
export function readRecordings(apis: readonly string[]): readonly Recording[] | undefined {
  const index = new URL("index.json", folder);
  if (!existsSync(index)) {
    return undefined;
  }
  // The format that the folder's own README promises; what differs fails the tests that read it.
  const rows = JSON.parse(readFileSync(index, "utf8")) as readonly IndexRow[];
  return rows
    .filter(
      (row) => apis.includes(`${row.provider}/${row.api}`) && (row.transport === "json" || row.transport === "sse"),
    )
    .map((row) => readRecording(fileURLToPath(new URL(row.file, folder))));
}

function readRecording(file: string): Recording {
  // As above.
  const { id, provider, api, kind, features, response, derived } = JSON.parse(
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
    body: transport === "sse" ? (response.sse_text ?? "") : JSON.stringify(response.body),
    derived: derived ?? {},
  };
}
