import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

/** A value that is replaced as a whole while it is in use: read `current` once for each piece of work. */
export interface Live<T> {
  readonly current: T;
  /** 1 at first, and one more with each replacement. */
  readonly version: number;
  /** Calls after each replacement, until the returned function is called. */
  subscribe(listener: (current: T) => void): () => void;
}

/** A live value read from a file. */
export interface LiveConfig<T> extends Live<T> {
  /** Calls with what became of each change that was noticed, and of each `reload()` that found one. */
  onReload(listener: (result: ReloadResult) => void): () => void;
  /** Looks at the file now. */
  reload(): Promise<ReloadResult>;
  /** Ends watching. */
  stop(): void;
}

/** What reading again led to. */
export type ReloadResult =
  | { readonly ok: true; readonly changed: boolean; readonly version: number }
  /** The file cannot be used; the old value stays. */
  | { readonly ok: false; readonly message: string; readonly error: unknown };

/** What createLiveConfig needs. */
export interface LiveConfigOptions<T> {
  /** The file to watch; undefined when there is none, and the value stays as it is. */
  readonly path: string | undefined;
  /** Other files whose content is part of the value, as known after the last load. */
  readonly files?: () => readonly string[];
  /** Reads the file and makes a frozen value of it, or throws an error whose message says what is wrong. */
  readonly load: () => T;
  /** How often to look for a change, in ms. 2000 unless given. */
  readonly pollMs?: number;
  /** Gets what a listener threw. A warning of the process unless given. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Loads a value and keeps looking at its file, by stat and then by hash: this also notices a file that is replaced by
 * renaming, and Kubernetes' mounted ones. A changed file that is invalid leaves the old value in place.
 *
 * Throws what `load` throws the first time.
 */
export function createLiveConfig<T>(options: LiveConfigOptions<T>): LiveConfig<T> {
  return new WatchedConfig(options);
}

/** A value that never changes, as a Live. */
export function fixedLive<T>(value: T): Live<T> {
  return { current: value, version: 1, subscribe: () => () => undefined };
}

class WatchedConfig<T> implements LiveConfig<T> {
  readonly #options: LiveConfigOptions<T>;
  readonly #listeners = new Set<(current: T) => void>();
  readonly #reloadListeners = new Set<(result: ReloadResult) => void>();
  readonly #timer: NodeJS.Timeout | undefined;
  #current: T;
  #version = 1;
  #stats: string;
  #hash: string;

  constructor(options: LiveConfigOptions<T>) {
    this.#options = options;
    // Looked at before loading: a change that comes between the two is then noticed as one.
    this.#stats = this.#readStats();
    this.#hash = this.#readHash();
    this.#current = options.load();
    if (options.files !== undefined) {
      this.#stats = this.#readStats();
      this.#hash = this.#readHash();
    }
    if (options.path !== undefined) {
      this.#timer = setInterval(() => this.#poll(), options.pollMs ?? 2_000).unref();
    }
  }

  get current(): T {
    return this.#current;
  }

  get version(): number {
    return this.#version;
  }

  subscribe(listener: (current: T) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onReload(listener: (result: ReloadResult) => void): () => void {
    this.#reloadListeners.add(listener);
    return () => void this.#reloadListeners.delete(listener);
  }

  reload(): Promise<ReloadResult> {
    return Promise.resolve(this.#reloadNow());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #poll(): void {
    const stats = this.#readStats();
    if (stats !== this.#stats) {
      this.#stats = stats;
      this.#reloadNow();
    }
  }

  #reloadNow(): ReloadResult {
    const hash = this.#readHash();
    if (hash === this.#hash) {
      return { ok: true, changed: false, version: this.#version };
    }
    const result = this.#replace(hash);
    for (const listener of this.#reloadListeners) {
      this.#guard(() => listener(result));
    }
    return result;
  }

  #replace(hash: string): ReloadResult {
    // Kept also when it is invalid: the same broken file is reported once, and the good one put back is a change.
    this.#hash = hash;
    let loaded: T;
    try {
      loaded = this.#options.load();
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error), error };
    }
    if (this.#options.files !== undefined) {
      this.#hash = this.#readHash();
    }
    this.#current = loaded;
    this.#version += 1;
    for (const listener of this.#listeners) {
      this.#guard(() => listener(loaded));
    }
    return { ok: true, changed: true, version: this.#version };
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (this.#options.onError === undefined) {
        process.emitWarning(error instanceof Error ? error : String(error));
      } else {
        this.#options.onError(error);
      }
    }
  }

  #paths(): readonly string[] {
    return this.#options.path === undefined ? [] : [this.#options.path, ...(this.#options.files?.() ?? [])];
  }

  #readStats(): string {
    return this.#paths()
      .map((path) => {
        const stats = statSync(path, { throwIfNoEntry: false });
        return stats === undefined ? "missing" : `${stats.mtimeMs}:${stats.ctimeMs}:${stats.size}:${stats.ino}`;
      })
      .join("|");
  }

  #readHash(): string {
    const hash = createHash("sha256");
    for (const path of this.#paths()) {
      hash.update("\0");
      try {
        hash.update(readFileSync(path));
      } catch (error) {
        // A file that is missing while it is being replaced; loading says so when it stays away.
        hash.update(error instanceof Error && "code" in error ? String(error.code) : "unreadable");
      }
    }
    return hash.digest("hex");
  }
}
