import { Code, ConnectError } from "@connectrpc/connect";

/** What a caller in another process would get for what a handler threw. */
export function asConnectError(error: unknown): ConnectError {
  return error instanceof ConnectError
    ? error
    : new ConnectError("internal error", Code.Internal, undefined, undefined, error);
}
