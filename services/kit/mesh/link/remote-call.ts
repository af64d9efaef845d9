import type { ClientLink } from "./client-link.ts";

/** Gives the link that new calls are made on. Throws a ConnectError when there is to be none any more. */
export type OpenLink = () => ClientLink;

/** What a caller says about a call. */
export interface RemoteCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the caller waits; undefined: without end. */
  readonly timeoutMs?: number | undefined;
  readonly headers?: Headers | undefined;
  readonly onHeader?: ((header: Headers) => void) | undefined;
  readonly onTrailer?: ((trailer: Headers) => void) | undefined;
}
