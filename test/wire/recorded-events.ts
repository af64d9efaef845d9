import { sseData } from "../harness/sse-data.ts";
import type { Recording } from "../harness/recordings.ts";
import { isRecord, type JsonRecord, parseJson, recordOf } from "./json.ts";

/** The events of a recorded stream as JSON, or the body of a whole answer as the only one. */
export function listRecordedEvents({ transport, body }: Recording): readonly JsonRecord[] {
  return transport === "sse" ? sseData(body).map((data) => recordOf(parseJson(data))) : [recordOf(parseJson(body))];
}

/** Whether an event is the one that OpenAI's servers send for usage alone, when they are asked to. */
export function isUsageOnly(event: JsonRecord): boolean {
  return Array.isArray(event["choices"]) && event["choices"].length === 0 && isRecord(event["usage"]);
}
