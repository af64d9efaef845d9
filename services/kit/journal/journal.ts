/** The kind of the record that says an attempt is about to be made. */
export const openedRecord = 1;

/** The kind of the record that holds a usage event. */
export const eventRecord = 2;

/** A record as recovery gives it. */
export interface JournalRecord {
  /** openedRecord or eventRecord. */
  readonly kind: number;
  /** Its number, unique in its directory and rising. */
  readonly sequence: bigint;
  readonly payload: Buffer;
}

/** An append-only file of records that are kept until they are confirmed. */
export interface Journal {
  /** New each time a directory is opened, so that a confirmation meant for an earlier run is never taken for this one. */
  readonly id: string;
  /**
   * Takes a record and returns its sequence number. It is written together with all others of this turn of the event
   * loop; `onWritten` is called after that, with JournalFullError, RangeError or the disk's error if it was not
   * written. With `sync: "always"` it is called only once the record is on the disk.
   */
  append(kind: number, payload: string | Uint8Array, onWritten?: OnWritten): bigint;
  /** Says that a record is no longer needed. Unknown and repeated numbers are ignored. */
  confirm(sequence: bigint): void;
  /**
   * Reads records that are not confirmed though they were written a while ago, oldest first: for sending again what a
   * transport has lost. Reads from the disk, so ask for few, and seldom. Throws when the disk fails.
   */
  readPending(query: PendingQuery): readonly JournalRecord[];
  /** How many records are not confirmed. */
  readonly pending: number;
  /** Their bytes. */
  readonly pendingBytes: number;
  /** How long the oldest of them has waited; 0 when there is none. */
  readonly oldestPendingAgeMs: number;
  /** Bytes of all files, confirmed records among them. */
  readonly diskBytes: number;
  /** Whether a new attempt would be refused. */
  readonly full: boolean;
  /** Writes and syncs everything taken so far. Rejects when the disk fails. */
  flush(): Promise<void>;
  /** Flushes, removes what is confirmed and gives the directory up. Appending afterwards fails. May be repeated. */
  close(): Promise<void>;
}

/** Which records to read. */
export interface PendingQuery {
  readonly kind: number;
  /** At least this old, in ms. */
  readonly olderThanMs: number;
  /** The most records to read. */
  readonly limit: number;
  /** Only records after this one, for reading in pages. */
  readonly after?: bigint;
}

/** Called once for each record. */
export type OnWritten = (error: Error | undefined) => void;

/** Why a record was refused: the files have reached their limit. */
export class JournalFullError extends Error {
  override readonly name = "JournalFullError";
  constructor() {
    super("the usage journal is full");
  }
}

/** Why a record was refused: the journal is closed. */
export class JournalClosedError extends Error {
  override readonly name = "JournalClosedError";
  constructor() {
    super("the usage journal is closed");
  }
}
