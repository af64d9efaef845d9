import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startTestNats, type TestNats } from "../testing/nats.ts";
import { createUsageConsumer, type UsageConsumer, type UsageConsumerOptions } from "./create-usage-consumer.ts";
import { createUsagePublisher, type OutgoingUsage, type UsagePublisher } from "./create-usage-publisher.ts";
import type { UsageMessage, UsageOutcome } from "./usage-message.ts";
import { deadStream, usageStream } from "./usage-subjects.ts";

const journalId = "journal-1";

function events(count: number, from = 0): OutgoingUsage[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `attempt-${from + index}`,
    payload: JSON.stringify({ attemptId: `attempt-${from + index}` }),
    journalId,
    journalSequence: BigInt(from + index),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  }));
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Publishes as the journal's deliverer does: again until it was stored. */
async function publishUntilStored(publisher: UsagePublisher, batch: readonly OutgoingUsage[]): Promise<number> {
  for (let failures = 0; ; failures += 1) {
    try {
      await publisher.publish(batch);
      return failures;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("usage events over NATS", { timeout: 120_000 }, () => {
  let nats: TestNats;
  let publisher: UsagePublisher;
  const consumers: UsageConsumer[] = [];
  before(async () => {
    nats = await startTestNats();
  });
  beforeEach(() => {
    publisher = createUsagePublisher({ url: nats.url, name: "test publisher", timeoutMs: 1_000 });
  });
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((consumer) => consumer.stop()));
    await publisher.close();
    await nats.kill("SIGCONT");
    await nats.restart({ wipe: true });
  });
  after(() => nats.close());

  const manage = async <T>(work: (manager: JetStreamManager) => Promise<T>): Promise<T> => {
    const connection = await connect({ servers: nats.url.replace("nats://", "") });
    try {
      return await work(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  };
  const stored = (stream: string): Promise<number> =>
    manage(async (manager) => (await manager.streams.info(stream)).state.messages);

  /** A consumer that remembers what it got and answers with `answer`. */
  const consume = (
    answer: (batch: readonly UsageMessage[]) => UsageOutcome | Promise<UsageOutcome> = (batch) => ({
      confirmed: batch,
      poison: [],
    }),
    options: Partial<UsageConsumerOptions> = {},
  ): { batches: string[][]; received: () => string[]; errors: unknown[]; consumer: UsageConsumer } => {
    const batches: string[][] = [];
    const errors: unknown[] = [];
    const consumer = createUsageConsumer({
      url: nats.url,
      name: "test consumer",
      retryDelayMs: 20,
      onError: (error) => errors.push(error),
      async handle(batch) {
        batches.push(batch.map(({ id }) => id));
        return await answer(batch);
      },
      ...options,
    });
    consumers.push(consumer);
    return { batches, received: () => [...new Set(batches.flat())].toSorted(), errors, consumer };
  };
  const ids = (batch: readonly OutgoingUsage[]): string[] => batch.map(({ id }) => id).toSorted();

  describe("the publisher", () => {
    it("makes the stream, and stores an event once however often it is published", async () => {
      await publisher.publish(events(100));
      await publisher.publish(events(100));
      assert.equal(await stored(usageStream), 100);
      const { config } = await manage((manager) => manager.streams.info(usageStream));
      assert.deepEqual(
        [config.storage, config.retention, config.max_age, config.max_msg_size, config.duplicate_window],
        ["file", "limits", 604_800_000_000_000, 1_048_576, 120_000_000_000],
      );
    });

    it("leaves a stream alone that an operator has set up otherwise", async () => {
      await manage((manager) =>
        manager.streams.add({ name: usageStream, subjects: ["penstock.usage.v1"], max_age: 1e15 }),
      );
      await publisher.publish(events(1));
      const { config } = await manage((manager) => manager.streams.info(usageStream));
      assert.equal(config.max_age, 1e15);
    });

    it("does not fail while the server is away, says so for each batch, and works once it is there", async () => {
      await nats.kill("SIGKILL");
      const early = createUsagePublisher({ url: nats.url, name: "early", timeoutMs: 200 });
      await assert.rejects(early.publish(events(1)), /not connected/);
      assert.equal(early.connected, false);
      await nats.restart();
      await publishUntilStored(early, events(1));
      assert.equal(await stored(usageStream), 1);
      await early.close();
    });

    it("loses nothing that it called stored when the server is killed in between", async () => {
      for (let round = 0; round < 3; round += 1) {
        await publishUntilStored(publisher, events(50, round * 50));
        await nats.kill("SIGKILL");
        await nats.restart();
      }
      assert.equal(await stored(usageStream), 150);
    });

    it("rejects while the server hangs, and works again afterwards", async () => {
      await publisher.publish(events(1));
      await nats.kill("SIGSTOP");
      await assert.rejects(publisher.publish(events(10)));
      await nats.kill("SIGCONT");
      await publishUntilStored(publisher, events(10));
      assert.equal(await stored(usageStream), 10);
    });

    it("makes the stream again when the server has lost its store", async () => {
      await publisher.publish(events(10));
      await nats.restart({ wipe: true });
      await publishUntilStored(publisher, events(10));
      assert.equal(await stored(usageStream), 10);
    });

    it("closes at once while there is no server", async () => {
      await nats.kill("SIGKILL");
      await createUsagePublisher({ url: nats.url, name: "lonely" }).close();
      await nats.restart();
    });
  });

  describe("the consumer", () => {
    it("takes each event once from a server that sends while the ledger is slow", async () => {
      const release = Promise.withResolvers<void>();
      const slow = consume(async (batch) => {
        await release.promise;
        return { confirmed: batch, poison: [] };
      });
      await publishUntilStored(publisher, events(5));
      await eventually(() => slow.batches.length === 1);
      await publishUntilStored(publisher, events(50, 5));
      // Longer than a fetch lasts: what it brings meanwhile is still to be taken, well before the server sends it again.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      release.resolve();
      const patience = performance.now() + 15_000;
      await eventually(() => slow.received().length === 55 || performance.now() > patience);
      assert.equal(slow.received().length, 55);
      assert.equal(slow.batches.flat().length, 55);
    });

    it("gets everything with what it carries, and has each journal told", async () => {
      const confirmed = new Set<bigint>();
      const unsubscribe = publisher.subscribeConfirmations(journalId, (sequences) => {
        sequences.forEach((sequence) => confirmed.add(sequence));
      });
      publisher.subscribeConfirmations(`other-${randomUUID()}`, () => assert.fail("another journal was told"));
      const seen: UsageMessage[] = [];
      const { received } = consume((batch) => {
        seen.push(...batch);
        return { confirmed: batch, poison: [] };
      });
      await publisher.publish(events(700));
      await eventually(() => confirmed.size === 700);
      assert.deepEqual(received(), ids(events(700)));
      assert.deepEqual(seen[0]?.journal, { id: journalId, sequence: 0n });
      assert.equal(Buffer.from(seen[0]?.payload ?? []).toString(), '{"attemptId":"attempt-0"}');
      assert.match(seen[0]?.traceparent ?? "", /^00-0af7/);
      unsubscribe();
      await eventually(async () => (await pending()) === 0);
    });

    const pending = (): Promise<number> =>
      manage(async (manager) => {
        const { num_ack_pending: unacknowledged, num_pending: waiting } = await manager.consumers.info(
          usageStream,
          "accounting",
        );
        return unacknowledged + waiting;
      });

    it("acknowledges only what the ledger has, and gets the rest again", async () => {
      let failures = 2;
      const { batches, errors } = consume((batch) => {
        failures -= 1;
        if (failures >= 0) {
          throw new Error("the database is down");
        }
        return { confirmed: batch.filter(({ deliveries }) => deliveries > 1), poison: [] };
      });
      await publisher.publish(events(20));
      await eventually(async () => failures < 0 && (await pending()) === 0);
      assert.equal(errors.filter((error) => String(error).includes("the database is down")).length, 2);
      assert.ok(batches.flat().length >= 40);
    });

    it("puts poison aside with its reason, and never gets it again", async () => {
      const confirmed: bigint[] = [];
      publisher.subscribeConfirmations(journalId, (sequences) => confirmed.push(...sequences));
      const { received } = consume((batch) => ({
        confirmed: batch.filter(({ id }) => id !== "attempt-3"),
        poison: batch.filter(({ id }) => id === "attempt-3").map((message) => ({ message, reason: "not\nJSON" })),
      }));
      await publisher.publish(events(6));
      await eventually(() => confirmed.length === 6);
      assert.deepEqual(received(), ids(events(6)));
      assert.equal(await stored(deadStream), 1);
      const dead = await manage((manager) => manager.streams.getMessage(deadStream, { seq: 1 }));
      assert.equal(dead?.header.get("penstock-reason"), "not JSON");
      assert.equal(dead?.header.get("Nats-Msg-Id"), "attempt-3");
      assert.equal(await pending(), 0);
    });

    it("goes on after the server was killed and came back", async () => {
      const { received } = consume();
      await publishUntilStored(publisher, events(20));
      await eventually(() => received().length === 20);
      await nats.kill("SIGKILL");
      await nats.restart();
      await publishUntilStored(publisher, events(20, 20));
      await eventually(() => received().length === 40);
    });

    it("goes on after the server hung", async () => {
      const { received } = consume();
      await publishUntilStored(publisher, events(10));
      await eventually(() => received().length === 10);
      await nats.kill("SIGSTOP");
      await assert.rejects(publisher.publish(events(10, 10)));
      await nats.kill("SIGCONT");
      await publishUntilStored(publisher, events(10, 10));
      await eventually(() => received().length === 20);
    });

    it("sets itself up again when the server has lost its store", async () => {
      const { received } = consume();
      await publishUntilStored(publisher, events(10));
      await eventually(() => received().length === 10);
      await nats.restart({ wipe: true });
      await publishUntilStored(publisher, events(10, 10));
      await eventually(() => received().length === 20);
    });

    it("sets itself up again when it was deleted", async () => {
      const { received } = consume();
      await publishUntilStored(publisher, events(5));
      await eventually(() => received().length === 5);
      await manage((manager) => manager.consumers.delete(usageStream, "accounting"));
      await publishUntilStored(publisher, events(5, 5));
      await eventually(() => received().length === 10);
    });

    it("starts before there is a server", async () => {
      await nats.kill("SIGKILL");
      const { received } = consume();
      await nats.restart();
      await publishUntilStored(publisher, events(5));
      await eventually(() => received().length === 5);
    });

    it("finishes its batch when stopped, and leaves the rest to others at once", async () => {
      const begun = Promise.withResolvers<void>();
      const finish = Promise.withResolvers<void>();
      const first = consume(
        async (batch) => {
          begun.resolve();
          await finish.promise;
          return { confirmed: batch, poison: [] };
        },
        { maxBatch: 10 },
      );
      await publisher.publish(events(30));
      await begun.promise;
      const stopped = first.consumer.stop();
      finish.resolve();
      await stopped;
      assert.equal(first.batches.length, 1);
      const second = consume();
      await eventually(() => second.received().length === 20);
      assert.deepEqual([...first.received(), ...second.received()].toSorted(), ids(events(30)));
    });

    it("shares the work with others of its name", async () => {
      const [one, two] = [consume(undefined, { maxBatch: 5 }), consume(undefined, { maxBatch: 5 })];
      await eventually(() => one.consumer.running && two.consumer.running);
      await publisher.publish(events(200));
      await eventually(() => one.received().length + two.received().length >= 200);
      assert.deepEqual([...one.received(), ...two.received()].toSorted(), ids(events(200)));
    });
  });
});
