import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Calls back once when the caller aborts its signal or its time is over, and at once when the signal is aborted already.
 * Returns what ends the watch. Costs nothing for a call that has neither.
 */
export function watchCaller(
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
  onEnd: (error: ConnectError) => void,
): () => void {
  if (signal === undefined && timeoutMs === undefined) {
    return nothing;
  }
  const onAbort = (): void => onEnd(abortError(signal?.reason));
  if (signal?.aborted === true) {
    onAbort();
    return nothing;
  }
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => onEnd(new ConnectError("the operation timed out", Code.DeadlineExceeded)), timeoutMs);
  return () => {
    signal?.removeEventListener("abort", onAbort);
    clearTimeout(timer);
  };
}

/** What a caller sees that aborted its own call, as Connect's transports report it. */
function abortError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) {
    return reason;
  }
  return new ConnectError(reason instanceof Error ? reason.message : "This operation was aborted", Code.Canceled);
}

function nothing(): void {
  // A call without signal and deadline has nothing to stop watching.
}
