import type { Client } from "@connectrpc/connect";
import type { QuotaService, Settlement } from "#gen/penstock/quota/v1/quota_service_pb.ts";

/** Settles holds behind the back of requests. */
export interface SettlementQueue {
  /** Settles soon; retried until the quota service has taken it. */
  settle(settlement: Settlement): void;
  /** Keeps the hold of a request that goes on. */
  keep(requestId: string): void;
  /** Resolves when everything is settled, or after the timeout. */
  drain(timeoutMs: number): Promise<void>;
  stop(): void;
}

/** What the queue needs. */
export interface SettlementQueueDeps {
  readonly quota: Client<typeof QuotaService>;
  readonly onError: (error: unknown) => void;
}

const maxWaiting = 100_000;
const maxBatch = 500;
const retryMs = 250;
/** Four times within the 120 s for which a hold lasts. */
const renewEveryMs = 30_000;

/** Makes a queue: what is settled in one turn of the event loop goes as one call. */
export function createSettlementQueue(deps: SettlementQueueDeps): SettlementQueue {
  let waiting: Settlement[] = [];
  const open = new Set<string>();
  let running = false;
  let scheduled = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let onIdle: (() => void) | undefined;

  async function flush(): Promise<void> {
    if (running) {
      return;
    }
    running = true;
    while (waiting.length > 0 && !stopped) {
      const batch = waiting.slice(0, maxBatch);
      try {
        await deps.quota.settle({
          $typeName: "penstock.quota.v1.SettleRequest",
          settlements: batch,
        });
        waiting = waiting.slice(batch.length);
      } catch (error) {
        deps.onError(error);
        await new Promise<void>((resolve) => {
          timer = setTimeout(resolve, retryMs);
        });
      }
    }
    running = false;
    onIdle?.();
  }

  const renewTimer = setInterval(() => {
    const requestIds = [...open];
    if (requestIds.length > 0) {
      deps.quota.renew({ requestIds }).catch(deps.onError);
    }
  }, renewEveryMs);
  renewTimer.unref();

  return {
    settle(settlement) {
      open.delete(settlement.requestId);
      if (waiting.length >= maxWaiting) {
        // The hold expires by itself, and the ledger has the cost: the budget is reconciled from there.
        deps.onError(new Error("too many settlements wait for the quota service"));
        return;
      }
      waiting.push(settlement);
      if (!scheduled && !running) {
        scheduled = true;
        setImmediate(() => {
          scheduled = false;
          // flush() handles all its errors.
          void flush();
        });
      }
    },
    keep: (requestId) => void open.add(requestId),
    async drain(timeoutMs) {
      if (waiting.length === 0 && !running) {
        return;
      }
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, timeoutMs);
        onIdle = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(renewTimer);
    },
  };
}
