import { randomUUID } from "node:crypto";
import { openingLimit, reasonToRefuse } from "./admit-record.ts";
import { FrameBatch } from "./frame-batch.ts";
import type { Journal, JournalRecord, OnWritten, PendingQuery } from "./journal.ts";
import type { JournalFileSystem } from "./journal-file-system.ts";
import { GroupSync } from "./group-sync.ts";
import {
  appendToSegment,
  asError,
  attach,
  createSegment,
  readEntry,
  type Entry,
  type Segment,
  segmentPath,
} from "./segment-store.ts";

/** What a FileJournal is made of. */
export interface FileJournalDeps {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly maxBytes: number;
  readonly sync: "group" | "always";
  readonly now: () => number;
  readonly onError: (error: Error) => void;
  readonly fileSystem: JournalFileSystem;
  /** What recovery found; the journal takes it over. */
  readonly segments: readonly Segment[];
  readonly entries: ReadonlyMap<number, Entry>;
  readonly nextSequence: number;
  /** Called once, at the end of close. */
  readonly release: () => void;
}

interface Taken {
  readonly kind: number;
  readonly sequence: number;
  readonly offset: number;
  readonly bytes: number;
  readonly onWritten: OnWritten | undefined;
}

interface Refused {
  readonly error: Error;
  readonly onWritten: OnWritten;
}

/** Each sync wakes a thread and costs as much as a request: a few dozen a second are enough for what they promise. */
const groupCommitMs = 20;

/** The journal on files. One write call for each turn of the event loop; syncs in the background, one at a time. */
export class FileJournal implements Journal {
  readonly id = randomUUID();
  readonly #deps: FileJournalDeps;
  readonly #entries: Map<number, Entry>;
  readonly #sealed: Set<Segment>;
  #active: Segment | undefined;
  #nextSequence: number;
  #pendingBytes = 0;
  #diskBytes = 0;

  readonly #batch = new FrameBatch();
  #taken: Taken[] = [];
  #refused: Refused[] = [];
  #immediate: NodeJS.Immediate | undefined;

  /** Numbers of this turn's records that were confirmed before they were written. */
  readonly #confirmedEarly = new Set<number>();

  readonly #sync: GroupSync;
  #compacting = false;
  #closing: Promise<void> | undefined;

  constructor(deps: FileJournalDeps) {
    this.#deps = deps;
    this.#entries = new Map(deps.entries);
    this.#sealed = new Set(deps.segments);
    this.#nextSequence = deps.nextSequence;
    this.#sync = new GroupSync({
      directory: deps.directory,
      fileSystem: deps.fileSystem,
      delayMs: groupCommitMs,
      onFailure: (error, segments) => this.#abandon(error, segments),
      onError: (error) => deps.onError(asError(error)),
    });
    for (const segment of deps.segments) {
      this.#diskBytes += segment.size;
      this.#pendingBytes += segment.liveBytes;
    }
  }

  get pending(): number {
    return this.#entries.size + this.#taken.length;
  }

  get pendingBytes(): number {
    return this.#pendingBytes + this.#batch.length;
  }

  get oldestPendingAgeMs(): number {
    const oldest = this.#entries.values().next().value;
    return oldest === undefined ? 0 : Math.max(0, this.#deps.now() - oldest.takenAt);
  }

  get diskBytes(): number {
    return this.#diskBytes + this.#batch.length;
  }

  get full(): boolean {
    return this.diskBytes >= openingLimit(this.#deps.maxBytes);
  }

  append(kind: number, payload: string | Uint8Array, onWritten?: OnWritten): bigint {
    const sequence = this.#nextSequence;
    this.#nextSequence += 1;
    const payloadBytes = this.#batch.stage(payload);
    const error = reasonToRefuse({
      kind,
      payloadBytes,
      closed: this.#closing !== undefined,
      diskBytes: this.diskBytes,
      maxBytes: this.#deps.maxBytes,
    });
    if (error === undefined) {
      const { offset, bytes } = this.#batch.commit({ kind, sequence, payloadBytes });
      this.#taken.push({ kind, sequence, offset, bytes, onWritten });
    } else if (onWritten !== undefined) {
      this.#refused.push({ error, onWritten });
    }
    this.#immediate ??= setImmediate(this.#endTurn);
    return BigInt(sequence);
  }

  confirm(sequence: bigint): void {
    const key = Number(sequence);
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      this.#pendingBytes -= entry.bytes;
      this.#detach(entry.segment, entry.bytes);
    } else if (key >= (this.#taken[0]?.sequence ?? Infinity) && key < this.#nextSequence) {
      this.#confirmedEarly.add(key);
    }
  }

  readPending({ kind, olderThanMs, limit, after = -1n }: PendingQuery): readonly JournalRecord[] {
    const latest = this.#deps.now() - olderThanMs;
    const records: JournalRecord[] = [];
    for (const [sequence, entry] of this.#entries) {
      if (entry.takenAt > latest || records.length >= limit) {
        break;
      }
      if (entry.kind === kind && sequence > after) {
        records.push(readEntry(this.#deps.fileSystem, entry));
      }
    }
    return records;
  }

  async flush(): Promise<void> {
    this.#endTurn();
    if (!this.#sync.clean) {
      await new Promise<void>((resolve, reject) => {
        this.#sync.wait((error) => (error === undefined ? resolve() : reject(error)));
      });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      const active = this.#active;
      if (active !== undefined) {
        this.#seal(active);
      }
      this.#deps.release();
    }
  }

  readonly #endTurn = (): void => {
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    const refused = this.#refused;
    this.#refused = [];
    if (this.#taken.length > 0) {
      this.#writeBatch();
    }
    if (refused.length > 0) {
      this.#compact();
      for (const { error, onWritten } of refused) {
        this.#settle(onWritten, error);
      }
    }
  };

  #writeBatch(): void {
    const taken = this.#taken;
    this.#taken = [];
    const written = this.#writeFrames(this.#batch.bytes, taken[0]?.sequence ?? 0);
    this.#batch.clear();
    if (written.kind === "failed") {
      this.#confirmedEarly.clear();
      for (const { onWritten } of taken) {
        this.#settle(onWritten, written.error);
      }
      return;
    }
    this.#keep(taken, written.segment, written.start);
    if (this.#deps.sync === "always") {
      this.#sync.wait((error) => {
        for (const { onWritten } of taken) {
          this.#settle(onWritten, error);
        }
      });
    } else {
      for (const { onWritten } of taken) {
        this.#settle(onWritten, undefined);
      }
    }
  }

  #keep(taken: readonly Taken[], segment: Segment, start: number): void {
    const takenAt = this.#deps.now();
    for (const { kind, sequence, offset, bytes } of taken) {
      this.#entries.set(sequence, { kind, segment, offset: start + offset, bytes, takenAt });
      this.#pendingBytes += bytes;
      attach(segment, bytes);
    }
    const early = [...this.#confirmedEarly];
    this.#confirmedEarly.clear();
    for (const sequence of early) {
      this.confirm(BigInt(sequence));
    }
  }

  /** Calls back, so that a caller's mistake neither stops the journal nor the callbacks of others. */
  #settle(onWritten: OnWritten | undefined, error: Error | undefined): void {
    if (onWritten !== undefined) {
      this.#try(() => onWritten(error));
    }
  }

  #writeFrames(
    frames: Buffer,
    firstSequence: number,
  ):
    | { readonly kind: "written"; readonly segment: Segment; readonly start: number }
    | { readonly kind: "failed"; readonly error: Error } {
    let segment: Segment;
    try {
      segment = this.#segmentFor(frames.length, firstSequence);
    } catch (error) {
      return { kind: "failed", error: asError(error) };
    }
    const start = segment.size;
    const result = appendToSegment(this.#deps.fileSystem, segment, frames);
    if (result.kind === "failed") {
      if (!result.usable) {
        this.#seal(segment);
      }
      return result;
    }
    this.#diskBytes += frames.length;
    this.#sync.touch(segment);
    return { kind: "written", segment, start };
  }

  #segmentFor(length: number, firstSequence: number): Segment {
    const current = this.#active;
    if (current !== undefined && (current.size === 0 || current.size + length <= this.#deps.segmentBytes)) {
      return current;
    }
    const path = segmentPath(this.#deps.directory, firstSequence);
    const next = createSegment(path, this.#deps.fileSystem.create(path), 0);
    this.#sync.touchDirectory();
    if (current !== undefined) {
      this.#seal(current);
    }
    this.#active = next;
    if (this.#diskBytes > this.#deps.maxBytes / 2) {
      // After this batch, which is about to be written to the same file.
      queueMicrotask(() => this.#compact());
    }
    return next;
  }

  #seal(segment: Segment): void {
    if (this.#active === segment) {
      this.#active = undefined;
    }
    this.#sealed.add(segment);
    this.#sync.retire(segment);
    this.#removeIfDone(segment);
  }

  #detach(segment: Segment, bytes: number): void {
    segment.live -= 1;
    segment.liveBytes -= bytes;
    this.#removeIfDone(segment);
  }

  #removeIfDone(segment: Segment): void {
    if (segment.live === 0 && this.#sealed.delete(segment)) {
      this.#diskBytes -= segment.size;
      this.#sync.discard(segment);
      this.#try(() => this.#deps.fileSystem.remove(segment.path));
    }
  }

  #abandon(error: Error, segments: ReadonlySet<Segment>): void {
    this.#deps.onError(error);
    // After a failed sync the kernel may have dropped the bytes and report success next time: write elsewhere.
    if (this.#active !== undefined && segments.has(this.#active)) {
      this.#seal(this.#active);
    }
  }

  /**
   * Moves the few records that keep an old file alive (attempts that run for long) to the newest one.
   *
   * Without this, one slow stream in each file would fill the disk with what is long confirmed.
   */
  #compact(): void {
    if (this.#compacting || this.#closing !== undefined) {
      return;
    }
    for (const segment of this.#sealed) {
      const target = this.#active;
      if (target === undefined || target.size + segment.liveBytes > this.#deps.segmentBytes) {
        return;
      }
      if (segment.liveBytes * 4 <= segment.size) {
        this.#try(() => this.#moveLive(segment, target));
      }
    }
  }

  #moveLive(from: Segment, to: Segment): void {
    const moved = Buffer.allocUnsafe(from.liveBytes);
    const copies: { readonly sequence: number; readonly entry: Entry; readonly at: number }[] = [];
    let length = 0;
    for (const [sequence, entry] of this.#entries) {
      if (entry.segment === from) {
        this.#deps.fileSystem.read(from.path, moved.subarray(length, length + entry.bytes), entry.offset);
        copies.push({ sequence, entry, at: to.size + length });
        length += entry.bytes;
      }
    }
    const result = appendToSegment(this.#deps.fileSystem, to, moved.subarray(0, length));
    if (result.kind === "failed") {
      if (!result.usable) {
        this.#seal(to);
      }
      throw result.error;
    }
    this.#diskBytes += length;
    this.#sync.touch(to);
    for (const { entry } of copies) {
      attach(to, entry.bytes);
    }
    this.#compacting = true;
    // The old file goes only when the copies are on the disk; until then recovery would find both, and drop one.
    this.#sync.wait((error) => {
      this.#compacting = false;
      for (const { sequence, entry, at } of copies) {
        if (error === undefined && this.#entries.get(sequence) === entry) {
          entry.segment = to;
          entry.offset = at;
          this.#detach(from, entry.bytes);
        } else {
          this.#detach(to, entry.bytes);
        }
      }
    });
  }

  /** For what must not stop the journal: its failure is reported. */
  #try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#deps.onError(asError(error));
    }
  }
}
