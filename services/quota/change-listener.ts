import pg from "pg";
import { keyChannel } from "./store/postgres-keys.ts";
import { limitChannel } from "./store/postgres-limits.ts";

/** What the listener works with. */
export interface ChangeListenerDeps {
  readonly databaseUrl: string;
  /** Hears the id of a key that changed, in any process. */
  readonly onKey: (keyId: string) => void;
  /** Called when limits have changed, in any process. */
  readonly onLimits: () => void;
  /** Called when the connection is there again: changes may have been missed. */
  readonly onConnected: () => void;
  readonly onError: (error: unknown) => void;
}

/** Listens for changes of keys and limits that other processes make. */
export interface ChangeListener {
  stop(): Promise<void>;
}

const firstDelayMs = 250;
const lastDelayMs = 5_000;

/** Starts to listen, on a connection of its own that is made again whenever it breaks. Does not wait for it. */
export function startChangeListener(deps: ChangeListenerDeps): ChangeListener {
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let delayMs = firstDelayMs;
  let isStopped = false;

  const retry = (error: unknown): void => {
    if (isStopped || timer !== undefined) {
      return;
    }
    deps.onError(error);
    timer = setTimeout(() => {
      timer = undefined;
      void connect();
    }, delayMs);
    delayMs = Math.min(lastDelayMs, delayMs * 2);
  };

  const connect = async (): Promise<void> => {
    const next = new pg.Client({
      connectionString: deps.databaseUrl,
      application_name: "penstock quota changes",
      connectionTimeoutMillis: lastDelayMs,
      keepAlive: true,
    });
    client = next;
    next.on("error", retry);
    next.on("end", () => retry(new Error("the connection that listens for changes has ended")));
    next.on("notification", ({ channel, payload }) => {
      if (channel === limitChannel) {
        deps.onLimits();
      } else {
        deps.onKey(payload ?? "");
      }
    });
    try {
      await next.connect();
      await next.query(`LISTEN ${keyChannel}; LISTEN ${limitChannel}`);
      delayMs = firstDelayMs;
      deps.onConnected();
    } catch (error) {
      // Ending a client that failed to connect has nothing more to say.
      void next.end().catch(() => undefined);
      retry(error);
    }
  };

  void connect();
  return {
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await client?.end().catch(deps.onError);
    },
  };
}
