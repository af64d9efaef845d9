import { frameHeaderBytes, maxPayloadBytes } from "./frame.ts";
import { JournalClosedError, JournalFullError, openedRecord } from "./journal.ts";

/** The bytes from which new attempts are refused: a little early, so that those under way can still be recorded. */
export function openingLimit(maxBytes: number): number {
  return maxBytes - Math.floor(maxBytes / 16);
}

/** Why a record cannot be taken; undefined when it can. */
export function reasonToRefuse(record: {
  readonly kind: number;
  readonly payloadBytes: number;
  readonly closed: boolean;
  readonly diskBytes: number;
  readonly maxBytes: number;
}): Error | undefined {
  if (record.closed) {
    return new JournalClosedError();
  }
  if (record.payloadBytes > maxPayloadBytes) {
    return new RangeError(`a journal record has at most ${maxPayloadBytes} bytes, not ${record.payloadBytes}`);
  }
  const limit = record.kind === openedRecord ? openingLimit(record.maxBytes) : record.maxBytes;
  return record.diskBytes + frameHeaderBytes + record.payloadBytes > limit ? new JournalFullError() : undefined;
}
