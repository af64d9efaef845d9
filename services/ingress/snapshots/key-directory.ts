import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { LRUCache } from "lru-cache";
import { type KeyRecord, KeyState, type QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { follow, type Follower } from "./follow.ts";

/** What the directory needs. */
export interface KeyDirectoryDeps {
  readonly quota: Client<typeof QuotaService>;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  /** Told when the stream of keys was lost. */
  readonly onLost: (error: unknown) => void;
}

/** How long known keys are honoured while the quota service cannot be reached. */
const staleAfterMs = 15 * 60_000;
const lookUpTimeoutMs = 1_000;

/** The keys that may call, kept in memory by a stream of the quota service. */
export class KeyDirectory {
  readonly #deps: KeyDirectoryDeps;
  readonly #byDigest = new Map<string, KeyRecord>();
  readonly #byId = new Map<string, KeyRecord>();
  /** Credentials that were looked up and do not exist, so that guessing them costs the quota service little. */
  readonly #unknown = new LRUCache<string, true>({ max: 10_000, ttl: 1_000 });
  #follower: Follower | undefined;
  #complete = false;
  #lostAt: number | undefined;

  constructor(deps: KeyDirectoryDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#follower = follow({
      open: () => this.#deps.quota.watchKeys({}),
      onItem: (message) => {
        for (const key of message.keys) {
          this.#put(key);
        }
        this.#complete ||= message.complete;
        this.#lostAt = undefined;
      },
      onLost: (error) => {
        this.#lostAt ??= this.#deps.monotonicNow();
        this.#deps.onLost(error);
      },
      pauseMs: 500,
    });
  }

  stop(): void {
    this.#follower?.stop();
  }

  /** True once all keys that exist have arrived. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The key of a credential. Throws the same error for one that is unknown, revoked or expired. */
  find(credential: string): KeyRecord | Promise<KeyRecord> {
    if (this.#lostAt !== undefined && this.#deps.monotonicNow() - this.#lostAt > staleAfterMs) {
      throw unavailable();
    }
    // The digest of the whole credential: a part of it must never be enough.
    const digest = hash("sha256", credential, "base64");
    const key = this.#byDigest.get(digest);
    if (key !== undefined) {
      return this.#usable(key, digest, credential);
    }
    if (this.#unknown.has(digest)) {
      throw invalidKey(credential);
    }
    return this.#lookUp(digest, credential);
  }

  async #lookUp(digest: string, credential: string): Promise<KeyRecord> {
    try {
      const { key } = await this.#deps.quota.resolveKey(
        { digest: Buffer.from(digest, "base64") },
        { timeoutMs: lookUpTimeoutMs },
      );
      if (key !== undefined) {
        this.#put(key);
      }
      // A later revision that is known already may not have this credential any more.
      const known = this.#byDigest.get(digest);
      if (known !== undefined) {
        return this.#usable(known, digest, credential);
      }
    } catch (error) {
      if (ConnectError.from(error).code !== Code.NotFound) {
        throw ConnectError.from(error).code === Code.Unauthenticated ? error : unavailable(error);
      }
    }
    this.#unknown.set(digest, true);
    throw invalidKey(credential);
  }

  /** Takes over a key unless a later revision is known. Credentials that it has no longer are forgotten. */
  #put(key: KeyRecord): void {
    const before = this.#byId.get(key.id);
    if (before !== undefined && before.revision > key.revision) {
      return;
    }
    if (before !== undefined) {
      for (const digest of digestsOf(before)) {
        this.#byDigest.delete(digest);
      }
    }
    this.#byId.set(key.id, key);
    for (const digest of digestsOf(key)) {
      this.#byDigest.set(digest, key);
    }
  }

  #usable(key: KeyRecord, digest: string, credential: string): KeyRecord {
    const { state, expireTime, previousExpireTime } = key;
    // After a rotation the credential before works for a while.
    const ends = digest === digestText(key.digest) ? [expireTime] : [expireTime, previousExpireTime];
    const expired = ends.some((end) => end !== undefined && timestampMs(end) <= this.#deps.now());
    if (state !== KeyState.ACTIVE || expired) {
      throw invalidKey(credential);
    }
    return key;
  }
}

function digestsOf({ digest, previousDigest }: KeyRecord): readonly string[] {
  return previousDigest.length === 0 ? [digestText(digest)] : [digestText(digest), digestText(previousDigest)];
}

function digestText(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString("base64");
}

/** Names no more of a wrong credential than its last four characters. */
function invalidKey(credential: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_API_KEY, `Incorrect API key provided: …${credential.slice(-4)}.`);
}

function unavailable(cause?: unknown): ConnectError {
  return gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "The key cannot be verified at the moment.", {
    retryDelayMs: 1_000,
    cause,
  });
}
