/** One part of the program with a life cycle. The names of its methods are the order in which they are called. */
export interface Module {
  /** Unique in the process; what other modules name in `needs`. */
  readonly name: string;
  /** The modules that must have started before this one; those that do not live in this process are ignored. */
  readonly needs: readonly string[];
  /** Starts; rejects when it cannot, with nothing left running. */
  start(): Promise<void>;
  /** Says why the module cannot serve at the moment, or undefined when it can. */
  notReady?(): string | undefined;
  /**
   * Takes no new work from outside the process and resolves when the running work is done, or when the signal aborts.
   * All modules drain at once and go on serving each other meanwhile.
   */
  drain?(signal: AbortSignal): Promise<void>;
  /** Stops; called once after a successful start. */
  stop(): Promise<void>;
}

/** Runs a set of modules. */
export interface ModuleManager {
  /** Starts all modules in the order of their needs; when one fails, stops those that had started and rejects. */
  start(): Promise<void>;
  /** Drains all modules, then stops them in reverse order; a module that fails to stop does not keep the others running. */
  stop(drainTimeoutMs: number): Promise<void>;
  /** The modules that cannot serve at the moment, with their reasons. Everything is listed before start has resolved. */
  notReady(): readonly { readonly module: string; readonly reason: string }[];
}
