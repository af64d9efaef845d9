import { setTimeout as delay } from "node:timers/promises";
import { type ConsumerMessages, type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, nanos, type NatsConnection } from "@nats-io/transport-node";
import { ensureDeadStream, ensureUsageStream } from "./ensure-streams.ts";
import { type NatsLink, type NatsLinkState, openNatsLink } from "./nats-link.ts";
import { readAhead } from "./read-ahead.ts";
import { readBatches } from "./read-batches.ts";
import { readUsageMessage, type UsageMessage, type UsageOutcome } from "./usage-message.ts";
import {
  confirmationSubject,
  deadStream,
  deadSubject,
  encodeConfirmation,
  reasonHeader,
  usageStream,
  usageSubject,
} from "./usage-subjects.ts";

/** Settings of a consumer. */
export interface UsageConsumerOptions {
  /** nats://user:password@host:port; several with commas between. */
  readonly url: string;
  /** Shown by the server. */
  readonly name: string;
  /** Puts a batch into the ledger. Must be idempotent. A rejection means that nothing is known: all comes again. */
  readonly handle: (batch: readonly UsageMessage[]) => Promise<UsageOutcome>;
  /** PENSTOCK_USAGE unless given. */
  readonly stream?: string;
  /** penstock.usage.v1 unless given. */
  readonly subject?: string;
  /** The name under which the server keeps our place; consumers with the same one share the work. */
  readonly durable?: string;
  /** The most events in a batch. 500 unless given. */
  readonly maxBatch?: number;
  /** How long the first event of a batch waits for others, in ms. 50 unless given. */
  readonly maxDelayMs?: number;
  /** When an event that was neither confirmed nor poison comes again, in ms. 1000 unless given. */
  readonly retryDelayMs?: number;
  readonly onState?: (state: NatsLinkState) => void;
  /** Gets what went wrong; the consumer goes on by itself. */
  readonly onError?: (error: unknown) => void;
}

/** Brings usage events from the stream to the ledger. */
export interface UsageConsumer {
  /** Whether events are being asked for now. */
  readonly running: boolean;
  /** Finishes the batch in hand and leaves the rest to others. Takes about a second. */
  stop(): Promise<void>;
}

const ackWaitMs = 30_000;
const fetchMs = 1_000;
const graceMs = 2_000;
const retryMs = 500;

/** Starts a consumer. It makes the stream and its place there if they are missing, whenever they are. */
export function createUsageConsumer(options: UsageConsumerOptions): UsageConsumer {
  return new DurableConsumer(options);
}

class DurableConsumer implements UsageConsumer {
  readonly #options: UsageConsumerOptions;
  readonly #stream: string;
  readonly #durable: string;
  readonly #link: NatsLink;
  readonly #stop = new AbortController();
  readonly #finished: Promise<void>;
  #running = false;

  constructor(options: UsageConsumerOptions) {
    this.#options = options;
    this.#stream = options.stream ?? usageStream;
    this.#durable = options.durable ?? "accounting";
    this.#link = openNatsLink({ url: options.url, name: options.name, onState: options.onState });
    this.#finished = this.#run();
  }

  get running(): boolean {
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#finished;
    await this.#link.close();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const connection = this.#link.up ?? (await this.#whenUp());
        if (connection !== undefined) {
          await this.#consume(connection);
        }
      } catch (error) {
        this.#report(error);
      }
      await this.#pause(retryMs);
    }
  }

  /** Undefined when the connection is still not up after a while: being down is told by the link's state. */
  async #whenUp(): Promise<NatsConnection | undefined> {
    try {
      return await this.#link.ready(retryMs);
    } catch {
      // Waiting is the whole answer to a server that is away; the loop comes back here.
      return undefined;
    }
  }

  /** Reads until the consumer, the stream or the connection is lost, or until told to stop. */
  async #consume(connection: NatsConnection): Promise<void> {
    const manager = await jetstreamManager(connection, { timeout: 5_000 });
    await ensureUsageStream(manager, this.#stream, this.#options.subject ?? usageSubject);
    await ensureDeadStream(manager);
    // Only what nats-server 2.9 knows.
    await manager.consumers.add(this.#stream, {
      durable_name: this.#durable,
      ack_policy: "explicit",
      deliver_policy: "all",
      ack_wait: nanos(ackWaitMs),
      max_deliver: -1,
      max_ack_pending: 1_000,
    });
    const size = this.#options.maxBatch ?? 500;
    const consumer = await jetstream(connection).consumers.get(this.#stream, this.#durable);
    this.#running = true;
    try {
      // Many short fetches rather than one endless subscription: that one keeps receiving while the ledger is slow, and
      // when it ends what is on its way is nobody's until the server's patience is over.
      while (!this.#stop.signal.aborted) {
        await this.#drainFetch(connection, await consumer.fetch({ max_messages: size, expires: fetchMs }));
      }
    } finally {
      this.#running = false;
    }
  }

  /** Takes all that one fetch brings. Once told to stop, gives back what was not begun. */
  async #drainFetch(connection: NatsConnection, messages: ConsumerMessages): Promise<void> {
    let watchdog: NodeJS.Timeout | undefined;
    const awaitServer = (): void => {
      // The library waits for good when the connection breaks during a fetch.
      watchdog = setTimeout(() => messages.stop(new Error("the server does not answer")), fetchMs + graceMs);
    };
    const giveBack = (message: JsMsg): void => message.nak(fetchMs);
    // The library forgets what has arrived and was not taken when a fetch runs out while the ledger is slow; it would
    // come again only after the server's patience.
    const source = readAhead(messages[Symbol.asyncIterator]());
    const batches = readBatches(source, {
      size: this.#options.maxBatch ?? 500,
      delayMs: this.#options.maxDelayMs ?? 50,
      leave: giveBack,
    });
    try {
      awaitServer();
      for await (const batch of batches) {
        clearTimeout(watchdog);
        if (this.#stop.signal.aborted) {
          batch.forEach(giveBack);
        } else {
          await this.#take(connection, batch);
        }
        awaitServer();
      }
    } finally {
      clearTimeout(watchdog);
      messages.stop();
      source.rest().forEach(giveBack);
    }
  }

  async #take(connection: NatsConnection, batch: readonly JsMsg[]): Promise<void> {
    const sources = new Map(batch.map((message) => [readUsageMessage(message), message]));
    // A ledger that is slow is no reason to deliver the same events to another consumer meanwhile.
    const working = setInterval(() => batch.forEach((message) => message.working()), ackWaitMs / 3);
    try {
      const outcome = await this.#options.handle([...sources.keys()]);
      const buried = await this.#bury(connection, outcome.poison, sources);
      const settled = [...outcome.confirmed, ...buried];
      this.#confirm(connection, settled);
      for (const message of outcome.confirmed) {
        sources.get(message)?.ack();
        sources.delete(message);
      }
      for (const message of buried) {
        sources.get(message)?.term();
        sources.delete(message);
      }
    } catch (error) {
      this.#report(error);
    } finally {
      clearInterval(working);
    }
    for (const message of sources.values()) {
      message.nak(this.#options.retryDelayMs ?? 1_000);
    }
    if (sources.size === batch.length) {
      // Nothing went through: asking for more at once would only spin.
      await this.#pause(this.#options.retryDelayMs ?? 1_000);
    }
  }

  /** Puts poison aside, and returns what now is on the stream of the dead. */
  async #bury(
    connection: NatsConnection,
    poison: UsageOutcome["poison"],
    sources: ReadonlyMap<UsageMessage, JsMsg>,
  ): Promise<readonly UsageMessage[]> {
    const buried: UsageMessage[] = [];
    for (const { message, reason } of poison) {
      const dead = headers();
      for (const [name, values] of sources.get(message)?.headers ?? []) {
        // What the server added for its own use must not decide about the copy.
        if (!name.startsWith("Nats-")) {
          values.forEach((value) => dead.append(name, value));
        }
      }
      dead.set(reasonHeader, reason.replaceAll(/[\r\n]+/g, " ").slice(0, 500));
      try {
        await jetstream(connection).publish(deadSubject, message.payload, {
          headers: dead,
          expect: { streamName: deadStream },
          ...(message.id === "" ? {} : { msgID: message.id }),
        });
        buried.push(message);
      } catch (error) {
        // It comes again, and is tried again.
        this.#report(error);
      }
    }
    return buried;
  }

  /** Tells each journal which of its records it may forget. Lost on the way, they are published again and confirmed. */
  #confirm(connection: NatsConnection, messages: readonly UsageMessage[]): void {
    const byJournal = Map.groupBy(messages, ({ journal }) => journal?.id);
    for (const [id, group] of byJournal) {
      if (id !== undefined) {
        const sequences = group.flatMap(({ journal }) => (journal === undefined ? [] : [journal.sequence]));
        connection.publish(confirmationSubject(id), encodeConfirmation(sequences));
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#stop.signal.aborted) {
      try {
        await delay(ms, undefined, { signal: this.#stop.signal });
      } catch {
        // Told to stop: the caller's loop sees that itself.
        return;
      }
    }
  }

  #report(error: unknown): void {
    if (!this.#stop.signal.aborted) {
      this.#options.onError?.(error);
    }
  }
}
