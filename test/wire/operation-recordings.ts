import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type RecordingRow, recordingsFolder } from "../harness/recordings.ts";
import type { JsonRecord } from "./json.ts";

/** One part of a recorded form. */
export interface FormPart {
  readonly name: string;
  readonly filename?: string;
  readonly content_type?: string;
  readonly text?: string;
  readonly base64?: string;
}

/** An exchange of an operation that is no conversation. */
export interface OperationRecording {
  readonly id: string;
  readonly provider: string;
  readonly api: string;
  readonly path: string;
  readonly isStream: boolean;
  /** The request's body where it is JSON. */
  readonly json: JsonRecord | undefined;
  /** The request's body where it is a form; one with nothing in it where the recorder left its content out. */
  readonly form: readonly FormPart[] | undefined;
  readonly status: number;
  readonly contentType: string;
  /** The answer's body; JSON is written again from its parsed form. */
  readonly answer: Buffer;
}

interface OperationFile {
  readonly id: string;
  readonly provider: string;
  readonly api: string;
  readonly request: {
    readonly path: string;
    readonly body?: JsonRecord;
    readonly multipart?: readonly FormPart[];
    readonly body_text?: string;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly transport: string;
    readonly body?: unknown;
    readonly sse_text?: string;
    readonly text?: string;
    readonly binary_base64?: string;
  };
}

/** Reads an exchange. */
export function readOperation(row: RecordingRow): OperationRecording {
  // The format that the recordings' own README promises; what differs fails the tests that read it.
  const file = JSON.parse(readFileSync(fileURLToPath(new URL(row.file, recordingsFolder)), "utf8")) as OperationFile;
  const { request, response } = file;
  const isStream = response.transport === "sse";
  return {
    id: file.id,
    provider: file.provider,
    api: file.api,
    path: request.path,
    isStream,
    json: request.body,
    form: request.multipart ?? (request.body_text === undefined ? undefined : []),
    status: response.status,
    // Some recorders wrote down the type of an event stream wrongly.
    contentType: isStream ? "text/event-stream" : (response.headers["content-type"] ?? ""),
    answer: answerOf(response),
  };
}

function answerOf({ transport, body, sse_text, text, binary_base64 }: OperationFile["response"]): Buffer {
  switch (transport) {
    case "sse":
      return Buffer.from(sse_text ?? "");
    case "binary":
      return Buffer.from(binary_base64 ?? "", "base64");
    case "text":
      return Buffer.from(text ?? "");
    default:
      return Buffer.from(JSON.stringify(body));
  }
}
