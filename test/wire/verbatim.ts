import type { Recording } from "../harness/recordings.ts";
import { sseData } from "../harness/sse-data.ts";
import type { DoorDialect } from "./answer-facts.ts";
import { type JsonRecord, parseJson, recordOf } from "./json.ts";
import { isUsageOnly } from "./recorded-events.ts";
import type { DoorAnswer } from "./wire-door.ts";

/**
 * How the body that a provider got differs from the one that was sent in its own dialect. Allowed are another model, and
 * asking an OpenAI server for the usage of a stream.
 */
export function compareSent(dialect: DoorDialect, sent: JsonRecord | undefined, upstream: unknown): readonly string[] {
  const got = { ...recordOf(upstream) };
  const wanted = { ...sent };
  if (dialect !== "gemini") {
    delete got["model"];
    delete wanted["model"];
  }
  if (dialect === "openai" && wanted["stream"] === true) {
    const asked = { ...recordOf(wanted["stream_options"]), include_usage: true };
    if (JSON.stringify(got["stream_options"]) === JSON.stringify(asked)) {
      delete got["stream_options"];
      delete wanted["stream_options"];
    }
  }
  return JSON.stringify(got) === JSON.stringify(wanted)
    ? []
    : [`the provider got another body: ${differingMembers(got, wanted).join(", ")}`];
}

/**
 * How an answer in the provider's own dialect differs from the recorded bytes. Allowed is leaving out the event that an
 * OpenAI server sends for usage alone, where the caller did not ask for it, and the blank line that the last event needs.
 */
export function compareForwarded({ transport, body }: Recording, { raw, sent }: DoorAnswer): readonly string[] {
  if (raw === body || (transport === "sse" && raw.trimEnd() === body.trimEnd())) {
    return [];
  }
  const asked = recordOf(sent?.["stream_options"])["include_usage"] === true;
  if (transport === "sse" && !asked && raw === withoutUsageEvents(body)) {
    return [];
  }
  let at = 0;
  while (at < raw.length && raw[at] === body[at]) {
    at += 1;
  }
  return [`the bytes differ at ${at}: ${JSON.stringify(raw.slice(at, at + 60))}`];
}

function withoutUsageEvents(body: string): string {
  return body
    .split(/(?<=\r?\n\r?\n)/)
    .filter((event) => !sseData(event).some((data) => isUsageOnly(recordOf(parseJson(data)))))
    .join("");
}

function differingMembers(got: JsonRecord, wanted: JsonRecord): readonly string[] {
  const names = [...new Set([...Object.keys(got), ...Object.keys(wanted)])].filter(
    (name) => JSON.stringify(got[name]) !== JSON.stringify(wanted[name]),
  );
  return names.length === 0 ? ["the order of members"] : names;
}
