import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { ensureUsageStream } from "./ensure-streams.ts";
import { type NatsLinkState, openNatsLink } from "./nats-link.ts";
import {
  confirmationSubject,
  decodeConfirmation,
  journalIdHeader,
  journalSequenceHeader,
  usageStream,
  usageSubject,
} from "./usage-subjects.ts";

/** An event to publish. */
export interface OutgoingUsage {
  /** The attempt's id: events with the same id within two minutes are kept once. */
  readonly id: string;
  /** The event in proto3 JSON, at most 1 MiB. */
  readonly payload: string | Uint8Array;
  /** The journal that keeps the event, and its number there. */
  readonly journalId: string;
  readonly journalSequence: bigint;
  /** W3C trace context. */
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** Settings of a publisher. */
export interface UsagePublisherOptions {
  /** nats://user:password@host:port; several with commas between. */
  readonly url: string;
  /** Shown by the server. */
  readonly name: string;
  /** PENSTOCK_USAGE unless given. */
  readonly stream?: string;
  /** penstock.usage.v1 unless given. */
  readonly subject?: string;
  /** How long a batch may wait for the server, in ms. 5000 unless given. */
  readonly timeoutMs?: number;
  readonly onState?: (state: NatsLinkState) => void;
  /** Gets what a handler of confirmations threw, and confirmations that cannot be read. */
  readonly onError?: (error: unknown) => void;
}

/** Puts usage events on the stream. */
export interface UsagePublisher {
  /** Whether the server can be reached now. */
  readonly connected: boolean;
  /**
   * Resolves when the server has stored the last event, which it does after those before it; rejects when it may not have
   * stored them. One that it refused by itself is not told: it is never confirmed. May be repeated.
   */
  publish(batch: readonly OutgoingUsage[]): Promise<void>;
  /** Calls with the numbers of a journal's records that the ledger has, until the returned function is called. */
  subscribeConfirmations(journalId: string, handler: (sequences: readonly bigint[]) => void): () => void;
  close(): Promise<void>;
}

/** Makes a publisher. It connects in the background, also when the server comes up later or goes away for long. */
export function createUsagePublisher(options: UsagePublisherOptions): UsagePublisher {
  return new StreamPublisher(options);
}

/** JetStream's own: what it keeps once. */
const messageIdHeader = "Nats-Msg-Id";

interface Listener {
  readonly subject: string;
  readonly handler: (sequences: readonly bigint[]) => void;
  subscription: Subscription | undefined;
}

class StreamPublisher implements UsagePublisher {
  readonly #options: UsagePublisherOptions;
  readonly #stream: string;
  readonly #subject: string;
  readonly #timeoutMs: number;
  readonly #listeners = new Set<Listener>();
  readonly #link;
  /** The connection on which the stream is known to exist. */
  #ensuredOn: NatsConnection | undefined;

  constructor(options: UsagePublisherOptions) {
    this.#options = options;
    this.#stream = options.stream ?? usageStream;
    this.#subject = options.subject ?? usageSubject;
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.#link = openNatsLink({
      url: options.url,
      name: options.name,
      onState: options.onState,
      onConnection: (connection) => {
        for (const listener of this.#listeners) {
          this.#listen(connection, listener);
        }
      },
    });
  }

  get connected(): boolean {
    return this.#link.up !== undefined;
  }

  async publish(batch: readonly OutgoingUsage[]): Promise<void> {
    // Published while disconnected, messages would only wait for their timeout: what is buffered then is dropped.
    const connection = await this.#link.ready(Math.min(2_000, this.#timeoutMs));
    try {
      if (this.#ensuredOn !== connection) {
        const manager = await jetstreamManager(connection, { timeout: this.#timeoutMs });
        await ensureUsageStream(manager, this.#stream, this.#subject);
        this.#ensuredOn = connection;
      }
      const last = batch.at(-1);
      if (last === undefined) {
        return;
      }
      // Awaiting an answer for each costs more than everything else that is done with an event here.
      for (const event of batch.slice(0, -1)) {
        const fields = headersOf(event);
        fields.set(messageIdHeader, event.id);
        connection.publish(this.#subject, event.payload, { headers: fields });
      }
      await jetstream(connection, { timeout: this.#timeoutMs }).publish(this.#subject, last.payload, {
        msgID: last.id,
        headers: headersOf(last),
        timeout: this.#timeoutMs,
        expect: { streamName: this.#stream },
      });
    } catch (error) {
      // The stream may be gone: a server that lost its store looks the same as one that is slow.
      this.#ensuredOn = undefined;
      throw error;
    }
  }

  subscribeConfirmations(journalId: string, handler: (sequences: readonly bigint[]) => void): () => void {
    const listener: Listener = { subject: confirmationSubject(journalId), handler, subscription: undefined };
    this.#listeners.add(listener);
    if (this.#link.up !== undefined) {
      this.#listen(this.#link.up, listener);
    }
    return () => {
      this.#listeners.delete(listener);
      listener.subscription?.unsubscribe();
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.#link.close();
  }

  #listen(connection: NatsConnection, listener: Listener): void {
    listener.subscription?.unsubscribe();
    listener.subscription = connection.subscribe(listener.subject, {
      callback: (error, message) => {
        const sequences = error === null ? decodeConfirmation(message.string()) : undefined;
        try {
          if (sequences === undefined) {
            throw new Error(`a message on ${listener.subject} is not a list of numbers`, { cause: error });
          }
          listener.handler(sequences);
        } catch (thrown) {
          this.#options.onError?.(thrown);
        }
      },
    });
  }
}

function headersOf(event: OutgoingUsage): MsgHdrs {
  const result = headers();
  result.set(journalIdHeader, event.journalId);
  result.set(journalSequenceHeader, String(event.journalSequence));
  if (event.traceparent !== undefined) {
    result.set("traceparent", event.traceparent);
  }
  if (event.tracestate !== undefined) {
    result.set("tracestate", event.tracestate);
  }
  return result;
}
