import { Buffer } from "node:buffer";
import { hash, randomUUIDv7 } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import stringify from "safe-stable-stringify";
import type { CacheEntry, CacheService } from "#gen/penstock/cache/v1/cache_service_pb.ts";
import type { RouterHead } from "#gen/penstock/router/v1/router_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { eventOfCacheHit } from "../usage/build-usage-event.ts";
import type { GatewayCall } from "./gateway-call.ts";

/** What the cache of answers needs. */
export interface AnswerCacheDeps {
  readonly cache: Client<typeof CacheService>;
  /** Whether an exact cache is configured. */
  readonly enabled: () => boolean;
  /** Answers larger than this are not copied, in bytes. */
  readonly maxEntryBytes: () => number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  readonly onError: (error: unknown) => void;
}

/** What a look into the cache found. */
export type CacheFinding =
  | { readonly kind: "hit"; readonly entry: CacheEntry; readonly event: UsageEvent }
  | { readonly kind: "miss"; readonly copy: AnswerCopy };

/** Finds and keeps complete answers. */
export interface AnswerCache {
  appliesTo(call: GatewayCall): boolean;
  /** Never fails for a cache that is slow or gone: that is a miss. Throws when the caller wanted nothing else. */
  find(call: GatewayCall): Promise<CacheFinding>;
}

/** Longer than this is not worth waiting for, in milliseconds. */
const lookupTimeoutMs = 20;

/** The operations whose bodies are JSON, and of which one answer is as good as the next. */
const cached: ReadonlySet<Operation> = new Set([Operation.CHAT, Operation.EMBED, Operation.MODERATE, Operation.RERANK]);

/** Makes the cache of answers. */
export function createAnswerCache(deps: AnswerCacheDeps): AnswerCache {
  return {
    appliesTo: (call) =>
      deps.enabled() &&
      call.cachePolicy !== "no-store" &&
      cached.has(call.operation) &&
      // What a provider keeps may change or go.
      (call.provider ?? "") === "",
    async find(call) {
      const tenantId = call.key.organizationId + "\n" + (call.key.teamId || call.key.id);
      const digest = digestOf(call);
      let entry: CacheEntry | undefined;
      if (call.cachePolicy !== "no-cache") {
        try {
          ({ entry } = await deps.cache.lookup(
            { $typeName: "penstock.cache.v1.LookupRequest", tenantId, digest },
            { timeoutMs: lookupTimeoutMs },
          ));
        } catch (error) {
          deps.onError(error);
        }
      }
      if (entry !== undefined) {
        const totalMs = deps.monotonicNow() - call.arrivedAt;
        return { kind: "hit", entry, event: eventOfCacheHit(call, randomUUIDv7(), entry, totalMs) };
      }
      if (call.cachePolicy === "only-if-cached") {
        throw gatewayError(ErrorReason.NOT_FOUND, "No cached answer exists for this request.");
      }
      return { kind: "miss", copy: new AnswerCopy(tenantId, digest, deps) };
    },
  };
}

/** Collects an answer on its way to the caller, and keeps it when it was complete. */
export class AnswerCopy {
  readonly #tenantId: string;
  readonly #digest: Uint8Array;
  readonly #deps: AnswerCacheDeps;
  #parts: Uint8Array[] | undefined = [];
  #bytes = 0;

  constructor(tenantId: string, digest: Uint8Array, deps: AnswerCacheDeps) {
    this.#tenantId = tenantId;
    this.#digest = digest;
    this.#deps = deps;
  }

  add(body: Uint8Array): void {
    this.#bytes += body.length;
    if (this.#bytes > this.#deps.maxEntryBytes()) {
      this.#parts = undefined;
    }
    this.#parts?.push(body);
  }

  /** Stores the answer without waiting for it. */
  keep(head: RouterHead): void {
    const parts = this.#parts;
    if (parts === undefined) {
      return;
    }
    this.#deps.cache
      .store({
        tenantId: this.#tenantId,
        digest: this.#digest,
        entry: {
          contentType: head.contentType,
          body: Buffer.concat(parts),
          provider: head.provider,
          model: head.model,
        },
      })
      .catch(this.#deps.onError);
  }
}

/**
 * Everything in a request that its answer may depend on: the whole body, whatever it holds, so that a parameter nobody
 * has heard of yet tells two requests apart, and what the path says. Only the order of members is levelled.
 */
function digestOf(call: GatewayCall): Uint8Array {
  const { body, dialect, operation } = call;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const canonical =
    dialect === Dialect.PENSTOCK ? bytes.toString("base64") : (stringify(JSON.parse(bytes.toString("utf8"))) ?? "");
  const { model, stream } = call.inspection;
  const headers = stringify(call.dialectHeaders) ?? "";
  return hash("sha256", [dialect, operation, stream ? 1 : 0, model, headers, canonical].join("\n"), "buffer");
}
