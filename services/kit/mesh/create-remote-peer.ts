import type { Interceptor } from "@connectrpc/connect";
import { ClientLink } from "./link/client-link.ts";
import { connectionLost } from "./link/connection-lost.ts";
import { maxMessageBytes } from "./link/link-protocol.ts";

/** One other process. */
export interface RemotePeer {
  readonly baseUrl: string;
  /** Run around each call. */
  readonly interceptors: readonly Interceptor[];
  /** The link that new calls are made on. Throws a ConnectError once the peer was closed. */
  link(): ClientLink;
  /** Cuts its links; calls that run have failed. */
  close(): void;
}

/** What may be said about a peer. */
export interface RemotePeerOptions {
  /** How often the other side's life is looked at, in milliseconds; four silent looks end a link. */
  readonly heartbeatMs?: number;
}

/**
 * Knows another process. A link to it is opened by the first call, and again by the first call after it broke or the
 * process said that it will stop.
 */
export function createRemotePeer(
  baseUrl: string,
  interceptors: readonly Interceptor[],
  options: RemotePeerOptions = {},
): RemotePeer {
  /** The last one takes new calls; those before it end with their calls. */
  const links = new Set<ClientLink>();
  let current: ClientLink | undefined;
  let closed = false;
  return {
    baseUrl,
    interceptors,
    link() {
      if (closed) {
        throw connectionLost(undefined);
      }
      if (current === undefined || !current.usable) {
        current = new ClientLink({
          baseUrl,
          maxMessageBytes,
          heartbeatMs: options.heartbeatMs,
          onClose: (link) => links.delete(link),
        });
        links.add(current);
      }
      return current;
    },
    close() {
      closed = true;
      for (const link of links) {
        link.close();
      }
    },
  };
}
