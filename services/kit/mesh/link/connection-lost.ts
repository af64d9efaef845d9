import { Code, ConnectError } from "@connectrpc/connect";

/** What a call fails with whose link broke. */
export function connectionLost(cause: Error | undefined): ConnectError {
  return new ConnectError("the connection was lost", Code.Unavailable, undefined, undefined, cause);
}
