import type { Client } from "@connectrpc/connect";
import type {
  AttemptFinished,
  AttemptStarted,
  RouterEvent,
  RouterService,
} from "#gen/penstock/router/v1/router_service_pb.ts";

/** What the router had announced of a request when its caller left, and the ingress had not heard. */
export interface LastWords {
  /** The attempts that ended, in order. */
  readonly ended: readonly { readonly started: AttemptStarted; readonly finished: AttemptFinished }[];
  /** The one that ran; undefined when none did. */
  readonly running: AttemptStarted | undefined;
}

/**
 * Asks the router what it had announced. `current` is the attempt that the ingress knows of and has no end of; those
 * before it are known. When the router cannot be asked, that attempt is all there is.
 */
export async function askLastWords(
  router: Client<typeof RouterService>,
  requestId: string,
  current: AttemptStarted | undefined,
): Promise<LastWords> {
  try {
    const { events } = await router.recallAttempts({
      $typeName: "penstock.router.v1.RecallAttemptsRequest",
      requestId,
    });
    return readLastWords(events, current);
  } catch {
    // The process that knew is gone, and what it had not told with it.
    return { ended: [], running: current };
  }
}

/** Parts the events of all attempts of a request into those that are new. */
export function readLastWords(events: readonly RouterEvent[], current: AttemptStarted | undefined): LastWords {
  const ended: { started: AttemptStarted; finished: AttemptFinished }[] = [];
  let running = current;
  const firstNew = current === undefined ? 0 : current.attemptIndex + 1;
  for (const { event } of events) {
    if (event.case === "attemptStarted" && event.value.attemptIndex >= firstNew) {
      running = event.value;
    } else if (event.case === "attemptFinished" && running?.attemptId === event.value.attemptId) {
      ended.push({ started: running, finished: event.value });
      running = undefined;
    }
  }
  return { ended, running };
}
