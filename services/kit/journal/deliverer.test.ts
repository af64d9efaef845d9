import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { createDeliverer, type DelivererState, type JournalItem } from "./deliverer.ts";

function item(sequence: number): JournalItem<string> {
  return { sequence: BigInt(sequence), value: `event ${sequence}` };
}

/** A receiver whose batches the test answers one by one. */
class Receiver {
  readonly batches: number[][] = [];
  #answer: PromiseWithResolvers<void> | undefined;

  readonly deliver = (batch: readonly JournalItem<string>[]): Promise<void> => {
    assert.equal(this.#answer, undefined, "a second batch was begun while one was in flight");
    this.batches.push(batch.map(({ sequence }) => Number(sequence)));
    this.#answer = Promise.withResolvers<void>();
    return this.#answer.promise;
  };

  async accept(): Promise<void> {
    this.#take().resolve();
    await turn();
  }

  async refuse(): Promise<void> {
    this.#take().reject(new Error("refused"));
    await turn();
  }

  #take(): PromiseWithResolvers<void> {
    assert.ok(this.#answer, "no batch is in flight");
    const answer = this.#answer;
    this.#answer = undefined;
    return answer;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("createDeliverer", () => {
  const useClock = (t: TestContext): void => t.mock.timers.enable({ apis: ["setTimeout"] });

  it("waits for company, then delivers what came, in order", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const delivered: bigint[] = [];
    const deliverer = createDeliverer({
      deliver: receiver.deliver,
      onDelivered: (batch) => delivered.push(...batch.map(({ sequence }) => sequence)),
    });
    deliverer.push(item(1));
    t.mock.timers.tick(49);
    deliverer.push(item(2));
    assert.deepEqual(receiver.batches, []);
    t.mock.timers.tick(1);
    assert.deepEqual(receiver.batches, [[1, 2]]);
    assert.deepEqual(delivered, []);
    await receiver.accept();
    assert.deepEqual(delivered, [1n, 2n]);
    assert.equal(deliverer.size, 0);
  });

  it("delivers at once when a batch is full, and one batch at a time", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const deliverer = createDeliverer({ deliver: receiver.deliver, maxBatch: 2 });
    for (let sequence = 1; sequence <= 5; sequence += 1) {
      deliverer.push(item(sequence));
    }
    assert.deepEqual(receiver.batches, [[1, 2]]);
    await receiver.accept();
    await receiver.accept();
    assert.deepEqual(receiver.batches, [
      [1, 2],
      [3, 4],
    ]);
    t.mock.timers.tick(50);
    assert.deepEqual(receiver.batches.at(-1), [5]);
  });

  it("tries a failed batch again, unchanged at its front, with growing and bounded waits", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const states: DelivererState[] = [];
    const deliverer = createDeliverer({
      deliver: receiver.deliver,
      maxBatch: 1,
      random: () => 1,
      onState: (state) => states.push(state),
    });
    deliverer.push(item(1));
    deliverer.push(item(2));
    for (let failure = 0; failure < 8; failure += 1) {
      await receiver.refuse();
      t.mock.timers.tick(5_000);
    }
    assert.deepEqual(
      states.map((state) => (state.kind === "failing" ? state.retryInMs : state.kind)),
      [100, 200, 400, 800, 1600, 3200, 5000, 5000],
    );
    assert.deepEqual(new Set(receiver.batches.flat()), new Set([1]));
    await receiver.accept();
    assert.deepEqual(states.at(-1), { kind: "delivering" });
    assert.deepEqual(receiver.batches.at(-1), [2]);
  });

  it("says when it is full, still takes what is under way, and refuses at twice that", (t) => {
    useClock(t);
    const deliverer = createDeliverer({ deliver: () => new Promise(() => undefined), maxInMemory: 2 });
    assert.equal(deliverer.push(item(1)), true);
    assert.equal(deliverer.full, false);
    assert.equal(deliverer.push(item(2)), true);
    assert.equal(deliverer.full, true);
    assert.equal(deliverer.push(item(3)), true);
    assert.equal(deliverer.push(item(4)), true);
    assert.equal(deliverer.push(item(5)), false);
    assert.equal(deliverer.size, 4);
  });

  it("drains without waiting for company or for a back-off", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const deliverer = createDeliverer({ deliver: receiver.deliver, maxBatch: 2 });
    deliverer.push(item(1));
    t.mock.timers.tick(50);
    await receiver.refuse();
    deliverer.push(item(2));
    deliverer.push(item(3));
    const drained = deliverer.drain(1000);
    await receiver.accept();
    await receiver.accept();
    assert.equal(await drained, true);
    assert.deepEqual(receiver.batches, [[1], [1, 2], [3]]);
  });

  it("stops draining after the time given", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const deliverer = createDeliverer({ deliver: receiver.deliver });
    deliverer.push(item(1));
    const drained = deliverer.drain(1000);
    t.mock.timers.tick(1000);
    assert.equal(await drained, false);
  });

  it("begins nothing after it was stopped", async (t) => {
    useClock(t);
    const receiver = new Receiver();
    const deliverer = createDeliverer({ deliver: receiver.deliver });
    deliverer.push(item(1));
    t.mock.timers.tick(50);
    deliverer.stop();
    await receiver.refuse();
    t.mock.timers.tick(60_000);
    assert.equal(receiver.batches.length, 1);
    assert.equal(deliverer.push(item(2)), false);
  });
});
