/** A token that expires. */
export interface ExpiringToken {
  readonly token: string;
  /** Unix milliseconds. */
  readonly expiresAtMs: number;
}

/** What a cache of tokens needs. */
export interface TokenCacheDeps {
  /** Asks for a new token. */
  readonly fetchToken: () => Promise<ExpiringToken>;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Less than this before its end a token is not used any more: the request may be under way longer than the token. */
const unusableBeforeMs = 30_000;
/** Less than this before its end a new one is asked for while the old one is used. */
const renewBeforeMs = 4 * 60_000;
/** How long after a renewal has failed the next one waits while the old token is still good. */
const renewAgainAfterMs = 10_000;

/**
 * Keeps a token and renews it ahead of its end, so that requests do not wait for it. One renewal runs at a time, and all
 * who need its token wait for the same. Rejects with what `fetchToken` rejects with, when there is no good token.
 */
export function createTokenCache(deps: TokenCacheDeps): () => Promise<string> {
  let current: ExpiringToken | undefined;
  let renewal: Promise<ExpiringToken> | undefined;
  let failedAtMs = Number.NEGATIVE_INFINITY;

  function renew(): Promise<ExpiringToken> {
    renewal ??= deps.fetchToken().then(
      (token) => {
        current = token;
        renewal = undefined;
        return token;
      },
      (error: unknown) => {
        failedAtMs = deps.now();
        renewal = undefined;
        throw error;
      },
    );
    return renewal;
  }

  return async () => {
    const leftMs = current === undefined ? 0 : current.expiresAtMs - deps.now();
    if (current === undefined || leftMs <= unusableBeforeMs) {
      return (await renew()).token;
    }
    if (leftMs <= renewBeforeMs && deps.now() - failedAtMs > renewAgainAfterMs) {
      // The token at hand is still good, and whoever finds none that is gets the error.
      renew().catch(() => undefined);
    }
    return current.token;
  };
}
