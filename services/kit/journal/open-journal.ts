import { readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { lockDirectory } from "./directory-lock.ts";
import { FileJournal } from "./file-journal.ts";
import { scanSegment } from "./frame.ts";
import type { Journal, JournalRecord } from "./journal.ts";
import { type JournalFileSystem, realFileSystem } from "./journal-file-system.ts";
import { attach, createSegment, type Entry, isSegmentName, type Segment } from "./segment-store.ts";

/** Settings of a journal. */
export interface JournalOptions {
  /** A folder for the journal alone. Made when missing. */
  readonly directory: string;
  /** When a file is full and the next is begun. 16 MiB unless given. */
  readonly segmentBytes?: number;
  /** When records are refused: those of new attempts from 15/16 of it, all from it on. 1 GiB unless given. */
  readonly maxBytes?: number;
  /**
   * `group` (unless given) calls back after the write, and syncs within about 20 ms: safe against the process dying.
   * `always` calls back after the sync: safe against power failure.
   */
  readonly sync?: "group" | "always";
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Gets errors of background work: syncs, removing files, callbacks that throw. They become warnings unless given. */
  readonly onError?: (error: Error) => void;
  /** For tests. */
  readonly fileSystem?: JournalFileSystem;
}

/** A journal and what an earlier run left in it. */
export interface OpenedJournal {
  readonly journal: Journal;
  /** What was not confirmed, and some that was, by sequence number. They stay until confirmed. */
  readonly recovered: readonly JournalRecord[];
  /** How many places were damaged: flipped bits, or the end of a write that was cut. */
  readonly damaged: number;
}

/**
 * Opens the journal of a folder and reads what is in it.
 *
 * Rejects with DirectoryLockedError when a live process has it open, and when the folder cannot be read.
 */
export function openJournal(options: JournalOptions): Promise<OpenedJournal> {
  // Reading happens once, before anything is served; the promise leaves room to do it in the background.
  return Promise.try(() => openNow(options));
}

function openNow(options: JournalOptions): OpenedJournal {
  const lock = lockDirectory(options.directory);
  try {
    const now = options.now ?? Date.now;
    const found = recover(options.directory);
    const journal = new FileJournal({
      directory: options.directory,
      segmentBytes: options.segmentBytes ?? 16 * 1024 * 1024,
      maxBytes: options.maxBytes ?? 1024 * 1024 * 1024,
      sync: options.sync ?? "group",
      now,
      onError: options.onError ?? ((error) => process.emitWarning(error)),
      fileSystem: options.fileSystem ?? realFileSystem,
      segments: found.segments,
      entries: found.entries,
      // By the clock, so that numbers are not used again after all files were confirmed and removed.
      nextSequence: Math.max(found.lastSequence + 1, Math.floor(now() * 1000)),
      release: () => lock.release(),
    });
    return { journal, recovered: found.records, damaged: found.damaged };
  } catch (error) {
    lock.release();
    throw error;
  }
}

interface Recovery {
  readonly segments: readonly Segment[];
  readonly entries: ReadonlyMap<number, Entry>;
  readonly records: readonly JournalRecord[];
  readonly damaged: number;
  readonly lastSequence: number;
}

function recover(directory: string): Recovery {
  const found = new Map<number, { readonly entry: Entry; readonly record: JournalRecord }>();
  const segments: Segment[] = [];
  let damaged = 0;
  let lastSequence = 0;
  for (const name of readdirSync(directory).filter(isSegmentName).toSorted()) {
    const path = join(directory, name);
    lastSequence = Math.max(lastSequence, Number.parseInt(name, 10));
    const bytes = readFileSync(path);
    const scanned = scanSegment(bytes);
    damaged += scanned.damaged;
    if (scanned.frames.length === 0) {
      rmSync(path);
      continue;
    }
    if (scanned.end < bytes.length) {
      truncateSync(path, scanned.end);
    }
    const segment = createSegment(path, undefined, scanned.end);
    segments.push(segment);
    const takenAt = statSync(path).mtimeMs;
    for (const { kind, sequence, offset, bytes: size, payload } of scanned.frames) {
      lastSequence = Math.max(lastSequence, sequence);
      // A record that was being moved when the process died is in two files: the later one counts.
      found.set(sequence, {
        entry: { kind, segment, offset, bytes: size, takenAt },
        record: { kind, sequence: BigInt(sequence), payload },
      });
    }
  }
  const sorted = [...found.entries()].toSorted(([left], [right]) => left - right);
  for (const [, { entry }] of sorted) {
    attach(entry.segment, entry.bytes);
  }
  for (const segment of segments.filter(({ live }) => live === 0)) {
    rmSync(segment.path);
  }
  return {
    segments: segments.filter(({ live }) => live > 0),
    entries: new Map(sorted.map(([sequence, { entry }]) => [sequence, entry])),
    records: sorted.map(([, { record }]) => record),
    damaged,
    lastSequence,
  };
}
