import { Buffer } from "node:buffer";
import { randomUUIDv7 } from "node:crypto";
import type { ConnectError } from "@connectrpc/connect";
import { ObjectKind } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError, retryDelayMsOf } from "#kit/errors/gateway-error.ts";
import type { ReplyHead, ReplySink } from "../pipeline/gateway-call.ts";
import { createKeptLearner, type KeptLearner, type KeptOfAnswer } from "./learn-kept.ts";
import { type NewObject, type ObjectRegistry, ownerOf } from "./object-registry.ts";

/** What the reply has to know of its request. */
export interface KeptReplyOptions {
  readonly dialect: Dialect;
  readonly key: KeyRecord;
  /** Whether the response is made in the background. */
  readonly background: boolean;
  /** Whether only one provider may answer, since it keeps what the request refers to. */
  readonly pinned: boolean;
  /** The callers' ids of files by the provider's. */
  readonly fileIds: ReadonlyMap<string, string>;
  readonly registry: ObjectRegistry;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Told when it could not be remembered what a provider keeps: its caller can go on without, but not with it. */
  readonly onLost: (error: unknown) => void;
}

/** OpenAI keeps responses for 30 days, and containers are kept no longer by anybody. */
const keptMs = 30 * 86_400_000;

/**
 * Passes an answer on and remembers what the provider keeps of it before its last bytes leave, so that the caller can name
 * it at once. An answer is never lost because that fails.
 */
export class KeptReply implements ReplySink {
  readonly #inner: ReplySink;
  readonly #options: KeptReplyOptions;
  #head: ReplyHead | undefined;
  #learner: KeptLearner | undefined;
  #remembered = false;

  constructor(inner: ReplySink, options: KeptReplyOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  head(head: ReplyHead): void {
    this.#head = head;
    // What comes from the cache was remembered when it was made.
    if (head.cache !== "hit") {
      this.#learner = createKeptLearner(this.#options.dialect, head.contentType.startsWith("text/event-stream"));
    }
    this.#inner.head(head);
  }

  body(bytes: Uint8Array): boolean {
    this.#learner?.push(bytes);
    const isStream = this.#head?.contentType.startsWith("text/event-stream") === true;
    if (this.#options.background && isStream && !this.#remembered && this.#learner !== undefined) {
      // A caller that leaves the stream comes back by the id, which stands in its first event.
      this.#remembered = true;
      void this.#remember(this.#learner.finish());
    }
    return this.#inner.body(this.#withCallersIds(bytes));
  }

  onDrain(resume: () => void): void {
    this.#inner.onDrain(resume);
  }

  end(bytes: Uint8Array | undefined): void {
    if (bytes !== undefined) {
      this.#learner?.push(bytes);
    }
    const last = bytes === undefined ? undefined : this.#withCallersIds(bytes);
    const kept = this.#learner?.finish();
    if (kept === undefined || (kept.responseId === undefined && kept.containerIds.length === 0)) {
      this.#inner.end(last);
      return;
    }
    void this.#remember(kept).then(() => this.#inner.end(last));
  }

  fail(error: ConnectError): void {
    this.#inner.fail(this.#options.pinned ? withReasonOfPin(error) : error);
  }

  /** Never rejects. */
  async #remember(kept: KeptOfAnswer): Promise<void> {
    const { registry, onLost } = this.#options;
    const objects = this.#objectsOf(kept);
    if (objects.length > 0) {
      await registry.put(objects).then(undefined, onLost);
    }
  }

  #objectsOf(kept: KeptOfAnswer): readonly NewObject[] {
    const { key, background, now } = this.#options;
    const { provider = "", model = "" } = this.#head ?? {};
    const common = { owner: ownerOf(key), provider, model, expireTimeMs: now() + keptMs };
    const containers = kept.containerIds.map((id) => ({
      ...common,
      id,
      providerId: id,
      kind: ObjectKind.CONTAINER,
    }));
    if (kept.responseId === undefined) {
      return containers;
    }
    const response = {
      ...common,
      id: kept.responseId,
      providerId: kept.responseId,
      kind: ObjectKind.RESPONSE,
      itemIds: kept.itemIds,
      contextTokens: kept.contextTokens,
      // A stream tells what was used by itself; else whoever asks for the response hears it.
      usageAttemptId: background && kept.unfinished && !this.#remembered ? randomUUIDv7() : "",
    };
    return [response, ...containers].slice(0, mostObjects);
  }

  /** Ids that stand for a file of the request, as whole strings. Events are never cut, and other answers in one piece. */
  #withCallersIds(bytes: Uint8Array): Uint8Array {
    const { fileIds } = this.#options;
    return fileIds.size === 0 ? bytes : replaceIds(bytes, fileIds);
  }
}

const mostObjects = 100;

/** Puts other ids in the place of ids that stand in JSON as whole strings. */
export function replaceIds(bytes: Uint8Array, ids: ReadonlyMap<string, string>): Uint8Array {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (![...ids.keys()].some((id) => buffer.includes(`"${id}"`))) {
    return bytes;
  }
  let text = buffer.toString("utf8");
  for (const [from, to] of ids) {
    text = text.replaceAll(`"${from}"`, `"${to}"`);
  }
  return Buffer.from(text);
}

/** Why no other provider was tried, where a failure looks as if one could have been. */
function withReasonOfPin(error: ConnectError): ConnectError {
  const detail = errorDetailOf(error);
  const retryDelayMs = retryDelayMsOf(detail.retryDelay);
  switch (detail.reason) {
    case ErrorReason.UPSTREAM_FAILED:
    case ErrorReason.UPSTREAM_UNREACHABLE:
    case ErrorReason.UPSTREAM_TIMEOUT:
      return gatewayError(
        detail.reason,
        `${error.rawMessage} Only the provider that keeps what the request refers to can answer it.`,
        {
          metadata: detail.metadata,
          ...(detail.providerError === undefined ? {} : { providerError: detail.providerError }),
          ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
          cause: error,
        },
      );
    default:
      return error;
  }
}
