import { join } from "node:path";
import { scanSegment } from "./frame.ts";
import type { JournalRecord } from "./journal.ts";
import type { JournalFileSystem } from "./journal-file-system.ts";

/** One file of the journal. */
export interface Segment {
  readonly path: string;
  /** Open while the segment is written or waits for its sync; undefined afterwards. */
  fd: number | undefined;
  /** Bytes of whole frames. */
  size: number;
  /** Bytes of frames that are not confirmed. */
  liveBytes: number;
  /** How many those are. */
  live: number;
}

/** Where a record is that is not confirmed. */
export interface Entry {
  readonly kind: number;
  segment: Segment;
  offset: number;
  readonly bytes: number;
  /** When it was taken, in ms since 1970. */
  readonly takenAt: number;
}

/** Makes a segment of what recovery found, or an empty one that is open. */
export function createSegment(path: string, fd: number | undefined, size: number): Segment {
  return { path, fd, size, liveBytes: 0, live: 0 };
}

/** Counts a record among those that keep a segment. */
export function attach(segment: Segment, bytes: number): void {
  segment.live += 1;
  segment.liveBytes += bytes;
}

/** The name of the file whose first record has this number. */
export function segmentPath(directory: string, firstSequence: number): string {
  return join(directory, `${String(firstSequence).padStart(16, "0")}.journal`);
}

/** Whether a name is one that segmentPath makes. */
export function isSegmentName(name: string): boolean {
  return /^\d{16}\.journal$/.test(name);
}

/** Writes all bytes at the end of a segment, or none: on an error the file is cut back to where it was. */
export function appendToSegment(
  fileSystem: JournalFileSystem,
  segment: Segment,
  buffer: Buffer,
): { readonly kind: "written" } | { readonly kind: "failed"; readonly error: Error; readonly usable: boolean } {
  const fd = segment.fd;
  if (fd === undefined) {
    return { kind: "failed", error: new Error(`${segment.path} is closed`), usable: false };
  }
  try {
    for (let done = 0; done < buffer.length; ) {
      const count = fileSystem.write(fd, buffer, done, buffer.length - done, segment.size + done);
      if (count <= 0) {
        throw new Error(`${segment.path} took no bytes`);
      }
      done += count;
    }
    segment.size += buffer.length;
    return { kind: "written" };
  } catch (error) {
    return { kind: "failed", error: asError(error), usable: cutBack(fileSystem, segment, fd) };
  }
}

function cutBack(fileSystem: JournalFileSystem, segment: Segment, fd: number): boolean {
  try {
    fileSystem.truncate(fd, segment.size);
    return true;
  } catch {
    // The write's error is the one that is reported. The segment is left, and recovery skips the partial frame.
    return false;
  }
}

/** Reads a record back. Throws when the file does not hold it any more. */
export function readEntry(fileSystem: JournalFileSystem, entry: Entry): JournalRecord {
  const frame = Buffer.allocUnsafe(entry.bytes);
  fileSystem.read(entry.segment.path, frame, entry.offset);
  const [found] = scanSegment(frame).frames;
  if (found === undefined) {
    throw new Error(`${entry.segment.path} is damaged at ${entry.offset}`);
  }
  return { kind: found.kind, sequence: BigInt(found.sequence), payload: found.payload };
}

/** The value as an Error, for callbacks that promise one. */
export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
