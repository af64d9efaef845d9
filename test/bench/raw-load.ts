import type { Buffer } from "node:buffer";
import { setTimeout as pause } from "node:timers/promises";
import { chunksPerStream } from "./answers.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import type { LoadResult, Percentiles } from "./load.ts";
import { RawConnection } from "./raw-connection.ts";

/** Where a load goes and for how long. */
export interface RawLoadOptions {
  readonly port: number;
  readonly request: Buffer;
  readonly seconds: number;
}

/** Answers that the open loop waits for at the most; what comes due beyond them fails. */
const maxOpen = 2_000;
/** How long the last answers may take after the load has ended. */
const patienceMs = 5_000;

/**
 * An open loop: requests are due at fixed times, whether earlier ones are answered or not, and latency counts from the
 * time at which a request was due. So a gateway that stops for a moment is charged for all who had to wait.
 */
export async function runOpenLoop(options: RawLoadOptions & { readonly ratePerSecond: number }): Promise<LoadResult> {
  const tally = new Tally();
  const idle: RawConnection[] = [];
  const all = new Set<RawConnection>();
  const total = Math.floor(options.ratePerSecond * options.seconds);
  const startedAt = performance.now() + 5;

  function sendDue(index: number): void {
    const dueAt = startedAt + (index * 1_000) / options.ratePerSecond;
    let connection = idle.pop();
    if (connection === undefined) {
      if (all.size >= maxOpen) {
        tally.failed += 1;
        return;
      }
      connection = new RawConnection(options.port);
      all.add(connection);
    }
    const used = connection;
    tally.exchange(used, options.request, dueAt, () => {
      if (used.open) {
        idle.push(used);
      } else {
        all.delete(used);
      }
    });
  }

  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) * options.ratePerSecond) / 1_000) + 1);
    for (; sent < due; sent += 1) {
      sendDue(sent);
    }
    await pause(1);
  }
  return await tally.finish(all, (performance.now() - startedAt) / 1_000);
}

/**
 * A closed loop: each of so many connections sends its next request when the answer before is whole. They begin one after
 * another within `rampMs`, so that answers of a fixed length do not all begin and end at once.
 */
export async function runClosedLoop(
  options: RawLoadOptions & { readonly connections: number; readonly rampMs: number },
): Promise<LoadResult> {
  const tally = new Tally();
  const startedAt = performance.now();
  const endsAt = startedAt + options.seconds * 1_000;
  const all = new Set<RawConnection>();
  const next = (connection: RawConnection): void => {
    const now = performance.now();
    if (now < endsAt && connection.open) {
      tally.exchange(connection, options.request, now, () => next(connection));
    }
  };
  for (let count = 0; count < options.connections; count += 1) {
    const connection = new RawConnection(options.port);
    all.add(connection);
    setTimeout(() => next(connection), (options.rampMs * count) / options.connections);
  }
  await pause(endsAt - performance.now());
  return await tally.finish(all, (performance.now() - startedAt) / 1_000);
}

/** What the exchanges of one load came to. */
class Tally {
  readonly #latency = new LatencyHistogram();
  readonly #firstByte = new LatencyHistogram();
  completed = 0;
  failed = 0;
  #chunks = 0;
  #open = 0;

  exchange(connection: RawConnection, request: Buffer, dueAt: number, onOver: () => void): void {
    this.#open += 1;
    connection.send(request, {
      onFirstBody: () => this.#firstByte.add(performance.now() - dueAt),
      onEnd: (status, events) => {
        this.#open -= 1;
        if (status === 200 && (events === 0 || events > chunksPerStream)) {
          this.completed += 1;
          this.#chunks += events === 0 ? 0 : chunksPerStream;
          this.#latency.add(performance.now() - dueAt);
        } else {
          this.failed += 1;
        }
        onOver();
      },
      onBroken: () => {
        this.#open -= 1;
        this.failed += 1;
        onOver();
      },
    });
  }

  async finish(connections: Iterable<RawConnection>, seconds: number): Promise<LoadResult> {
    for (const endsAt = performance.now() + patienceMs; this.#open > 0 && performance.now() < endsAt; ) {
      await pause(5);
    }
    const cut = this.#open;
    for (const connection of connections) {
      connection.close();
    }
    return {
      completed: this.completed,
      failed: this.failed,
      cut,
      chunks: this.#chunks,
      seconds,
      latency: percentiles(this.#latency),
      firstByte: percentiles(this.#firstByte),
    };
  }
}

function percentiles(histogram: LatencyHistogram): Percentiles {
  return { p50: histogram.percentile(0.5), p99: histogram.percentile(0.99), p999: histogram.percentile(0.999) };
}
