import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readBatches } from "./read-batches.ts";

/** A source that the test feeds. */
class Source implements AsyncIterator<number> {
  readonly #waiting: PromiseWithResolvers<IteratorResult<number>>[] = [];
  readonly #results: Promise<IteratorResult<number>>[] = [];
  taken = 0;

  next(): Promise<IteratorResult<number>> {
    this.taken += 1;
    const ready = this.#results.shift();
    if (ready !== undefined) {
      return ready;
    }
    const waiting = Promise.withResolvers<IteratorResult<number>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  give(...values: readonly number[]): void {
    values.forEach((value) => this.#answer({ done: false, value }));
  }

  end(): void {
    this.#answer({ done: true, value: undefined });
  }

  fail(): void {
    const waiting = this.#waiting.shift();
    assert.ok(waiting);
    waiting.reject(new Error("the source failed"));
  }

  #answer(result: IteratorResult<number>): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#results.push(Promise.resolve(result));
    } else {
      waiting.resolve(result);
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("readBatches", () => {
  const left: number[] = [];
  const read = (source: Source, size = 3) =>
    readBatches(source, { size, delayMs: 50, leave: (item) => left.push(item) });

  it("gives full batches at once, and the rest when the source ends", async () => {
    const source = new Source();
    source.give(1, 2, 3, 4, 5, 6, 7);
    source.end();
    const batches = [];
    for await (const batch of read(source)) {
      batches.push(batch);
    }
    assert.deepEqual(batches, [[1, 2, 3], [4, 5, 6], [7]]);
  });

  it("gives what there is once the first item has waited", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const source = new Source();
    const batches = read(source);
    const first = batches.next();
    source.give(1, 2);
    await turn();
    t.mock.timers.tick(50);
    assert.deepEqual((await first).value, [1, 2]);
    const second = batches.next();
    source.give(3);
    await turn();
    t.mock.timers.tick(50);
    assert.deepEqual((await second).value, [3]);
  });

  it("takes no more than one item ahead of its reader", async () => {
    const source = new Source();
    source.give(1, 2, 3, 4, 5, 6, 7, 8);
    const batches = read(source);
    await batches.next();
    await turn();
    assert.equal(source.taken, 4);
    await batches.return();
    await turn();
    assert.deepEqual(left.splice(0), [4]);
  });

  it("tells of a source that failed meanwhile when the next batch is asked for", async () => {
    const source = new Source();
    source.give(1, 2, 3);
    const batches = read(source);
    assert.deepEqual((await batches.next()).value, [1, 2, 3]);
    source.fail();
    await turn();
    await assert.rejects(batches.next(), /the source failed/);
  });

  it("ends with a source that gives nothing", async () => {
    const source = new Source();
    source.end();
    assert.equal((await read(source).next()).done, true);
  });
});
