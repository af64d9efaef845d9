import { setTimeout as delay } from "node:timers/promises";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { LedgerStore } from "../store/store.ts";

/** Who hears what is new in the ledger. */
export interface LedgerListener {
  /** New final events, of whichever process; never empty. */
  onEvents(events: readonly UsageEvent[]): void;
  /** The follower lost its place or stops; nothing more comes. */
  onLost(error: Error): void;
}

/** What the follower works with. */
export interface LedgerFollowerDeps {
  readonly store: Pick<LedgerStore, "readNews">;
  /** How long to wait between two looks, in ms. */
  readonly intervalMs: number;
  /** The most events that one look takes. */
  readonly maxEvents: number;
  /** The most listeners. */
  readonly maxListeners: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Follows what enters the ledger while somebody listens, and costs nothing while nobody does. It looks at the table
 * rather than at what this process commits, so that one path serves any number of processes, each event once.
 */
export class LedgerFollower {
  readonly #deps: LedgerFollowerDeps;
  readonly #listeners = new Set<LedgerListener>();
  readonly #stop = new AbortController();
  #position: Promise<string> | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: LedgerFollowerDeps) {
    this.#deps = deps;
  }

  /** Whether another listener is taken. */
  get isFull(): boolean {
    return this.#stop.signal.aborted || this.#listeners.size >= this.#deps.maxListeners;
  }

  /** Resolves when everything that is committed from now on will be heard; rejects when the database cannot be asked. */
  async listen(listener: LedgerListener): Promise<void> {
    this.#listeners.add(listener);
    try {
      this.#position ??= this.#deps.store.readNews(undefined, 0).then((news) => news.position);
      const position = await this.#position;
      this.#running ??= this.#follow(position);
    } catch (error) {
      this.#position = undefined;
      this.#listeners.delete(listener);
      throw error;
    }
  }

  leave(listener: LedgerListener): void {
    this.#listeners.delete(listener);
  }

  /** Ends all listeners; no further ones are taken. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#lose(new Error("the process stops"));
    await this.#running;
  }

  async #follow(start: string): Promise<void> {
    let position = start;
    try {
      while (this.#listeners.size > 0 && (await this.#pause())) {
        position = await this.#look(position);
      }
    } catch (error) {
      this.#deps.onError(error);
      this.#lose(new Error("the ledger cannot be followed", { cause: error }));
    }
    this.#running = undefined;
    this.#position = undefined;
  }

  async #look(position: string): Promise<string> {
    const news = await this.#deps.store.readNews(position, this.#deps.maxEvents);
    if (news.isCut) {
      this.#lose(new Error("more requests come than can be followed"));
    } else if (news.events.length > 0) {
      for (const listener of this.#listeners) {
        listener.onEvents(news.events);
      }
    }
    return news.position;
  }

  #lose(error: Error): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) {
      listener.onLost(error);
    }
  }

  /** Whether to go on. */
  async #pause(): Promise<boolean> {
    try {
      await delay(this.#deps.intervalMs, undefined, { signal: this.#stop.signal });
      return true;
    } catch {
      // Told to stop.
      return false;
    }
  }
}
