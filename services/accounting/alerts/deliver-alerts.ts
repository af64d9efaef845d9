import { request } from "undici";
import type { AlertStore, DueDelivery } from "./alert-store.ts";
import type { AlertDestination } from "./destination.ts";

/** What the delivery of alerts works with. */
export interface DeliverAlertsDeps {
  readonly store: AlertStore;
  readonly destinations: readonly AlertDestination[];
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly signal: AbortSignal;
}

const batchSize = 20;
const timeoutMs = 10_000;
const maxTries = 12;
const firstRetryMs = 5_000;
const lastRetryMs = 3_600_000;

/**
 * Delivers what is due, until nothing is. A destination that fails is tried again with growing pauses, about four hours in
 * all. A delivery that could not be noted as such, because the process died just then, is made again after a minute.
 */
export async function deliverAlerts(deps: DeliverAlertsDeps): Promise<void> {
  const byId = new Map(deps.destinations.map((each) => [each.id.toString("hex"), each]));
  const ids = deps.destinations.map((each) => each.id);
  while (ids.length > 0 && !deps.signal.aborted) {
    const due = await deps.store.claim(ids, batchSize);
    if (due.length === 0) {
      return;
    }
    await Promise.all(
      due.map(async (each) => {
        const destination = byId.get(each.destination.toString("hex"));
        if (destination !== undefined) {
          await deliver(deps, destination, each);
        }
      }),
    );
  }
}

async function deliver(deps: DeliverAlertsDeps, destination: AlertDestination, due: DueDelivery): Promise<void> {
  const problem = await post(deps, destination, due);
  if (problem === undefined) {
    await deps.store.delivered(due);
    return;
  }
  const retryMs = Math.min(lastRetryMs, firstRetryMs * 2 ** (due.tries - 1));
  await deps.store.failed(due, problem, due.tries >= maxTries ? undefined : retryMs);
}

/** Says what went wrong, without the URL: it is a secret. */
async function post(
  deps: DeliverAlertsDeps,
  destination: AlertDestination,
  due: DueDelivery,
): Promise<string | undefined> {
  const { headers, body } = destination.write(due.alert, deps.wallClock());
  try {
    const response = await request(destination.url, {
      method: "POST",
      headers,
      body,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.any([deps.signal, AbortSignal.timeout(timeoutMs)]),
    });
    await response.body.dump();
    return response.statusCode >= 200 && response.statusCode < 300 ? undefined : `HTTP status ${response.statusCode}`;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return code === "" ? (error instanceof Error ? error.name : "failed") : code;
  }
}
