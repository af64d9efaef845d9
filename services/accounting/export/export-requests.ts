import { toJsonString } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { cursorOf } from "../read-request.ts";
import type { LedgerStore, RequestQuery } from "../store/store.ts";
import { csvHeader, writeCsvRow } from "./write-csv-row.ts";

/** The forms of file that there are. */
export type ExportForm = "csv" | "json_lines";

const pageSize = 500;

/**
 * Gives a file in pieces of whole lines, newest first. Reads a page when the piece before it was taken, so that memory
 * stays the same however long the file is. Rejects when the database cannot be asked.
 */
export async function* exportRequests(
  store: Pick<LedgerStore, "listRequests">,
  query: Omit<RequestQuery, "limit" | "after">,
  form: ExportForm,
): AsyncGenerator<Uint8Array> {
  const write = form === "csv" ? writeCsvRow : writeJsonLine;
  if (form === "csv") {
    yield Buffer.from(csvHeader);
  }
  let last: UsageEvent | undefined;
  do {
    const after = last === undefined ? undefined : cursorOf(last);
    const page: readonly UsageEvent[] = await store.listRequests({ ...query, limit: pageSize, after });
    if (page.length > 0) {
      yield Buffer.from(page.map(write).join(""));
    }
    last = page.length < pageSize ? undefined : page.at(-1);
  } while (last !== undefined);
}

function writeJsonLine(event: UsageEvent): string {
  return `${toJsonString(UsageEventSchema, event)}\n`;
}
