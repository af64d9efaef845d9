import type { OnWritten } from "./journal.ts";
import type { JournalFileSystem } from "./journal-file-system.ts";
import type { Segment } from "./segment-store.ts";

/** What a GroupSync is made of. */
export interface GroupSyncDeps {
  readonly directory: string;
  readonly fileSystem: JournalFileSystem;
  /** How long written bytes may wait for a sync that nobody asks for, in ms. */
  readonly delayMs: number;
  /** Gets the segments whose bytes may not have reached the disk. Called before the waiters. */
  readonly onFailure: (error: Error, segments: ReadonlySet<Segment>) => void;
  /** Gets errors of closing files. */
  readonly onError: (error: unknown) => void;
}

/** Syncs written segments in the background, all that are dirty at once and never twice at the same time. */
export class GroupSync {
  readonly #deps: GroupSyncDeps;
  #dirty = new Set<Segment>();
  #inFlight: ReadonlySet<Segment> = new Set();
  readonly #retired = new Set<Segment>();
  #directoryDirty = false;
  #waiters: OnWritten[] = [];
  #timer: NodeJS.Timeout | undefined;
  #running = false;

  constructor(deps: GroupSyncDeps) {
    this.#deps = deps;
  }

  /** Whether everything written is on the disk. */
  get clean(): boolean {
    return this.#dirty.size === 0 && !this.#directoryDirty && !this.#running;
  }

  /** Says that a segment has bytes to sync, and sees to it within `delayMs`. */
  touch(segment: Segment): void {
    this.#dirty.add(segment);
    if (!this.#running) {
      this.#timer ??= setTimeout(() => this.#start(), this.#deps.delayMs).unref();
    }
  }

  /** Says that the folder has a new name in it. */
  touchDirectory(): void {
    this.#directoryDirty = true;
  }

  /** Calls back when all that was touched before is on the disk, or could not be brought there. Starts at once. */
  wait(waiter: OnWritten): void {
    this.#waiters.push(waiter);
    this.#start();
  }

  /** Closes the segment's file once no sync needs it. */
  retire(segment: Segment): void {
    if (this.#dirty.has(segment) || this.#inFlight.has(segment)) {
      this.#retired.add(segment);
    } else {
      this.#close(segment);
    }
  }

  /** Closes a segment's file whose bytes no longer matter. */
  discard(segment: Segment): void {
    this.#dirty.delete(segment);
    this.retire(segment);
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#running) {
      this.#running = true;
      // What is touched and waited for in the rest of this turn shares the sync.
      queueMicrotask(() => this.#run());
    }
  }

  #run(): void {
    const segments = this.#dirty;
    const waiters = this.#waiters;
    const syncDirectory = this.#directoryDirty;
    this.#inFlight = segments;
    this.#dirty = new Set();
    this.#waiters = [];
    this.#directoryDirty = false;
    let left = 1;
    let failure: Error | undefined;
    const done = (error: Error | null): void => {
      failure ??= error ?? undefined;
      left -= 1;
      if (left === 0) {
        this.#end(segments, failure, waiters);
      }
    };
    for (const { fd } of segments) {
      if (fd !== undefined) {
        left += 1;
        this.#deps.fileSystem.sync(fd, done);
      }
    }
    if (syncDirectory) {
      left += 1;
      this.#deps.fileSystem.syncDirectory(this.#deps.directory, done);
    }
    done(null);
  }

  #end(segments: ReadonlySet<Segment>, failure: Error | undefined, waiters: readonly OnWritten[]): void {
    this.#running = false;
    this.#inFlight = new Set();
    if (failure !== undefined) {
      this.#deps.onFailure(failure, segments);
    }
    for (const segment of this.#retired) {
      if (!this.#dirty.has(segment)) {
        this.#retired.delete(segment);
        this.#close(segment);
      }
    }
    for (const waiter of waiters) {
      waiter(failure);
    }
    if (this.#waiters.length > 0) {
      this.#start();
    } else if (this.#dirty.size > 0 || this.#directoryDirty) {
      this.#timer ??= setTimeout(() => this.#start(), this.#deps.delayMs).unref();
    }
  }

  #close(segment: Segment): void {
    const fd = segment.fd;
    if (fd !== undefined) {
      segment.fd = undefined;
      try {
        this.#deps.fileSystem.close(fd);
      } catch (error) {
        this.#deps.onError(error);
      }
    }
  }
}
