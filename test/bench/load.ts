import type { BenchGateway } from "./bench-gateway.ts";

/** What a load found. Latencies are milliseconds. */
export interface LoadResult {
  /** Answers that were read to their end. */
  readonly completed: number;
  /** Answers that were not 200, or broke. */
  readonly failed: number;
  /** Requests that the load left when its time was up. */
  readonly cut: number;
  /** Events of streams, the usage and the final marker left out. */
  readonly chunks: number;
  readonly seconds: number;
  /** To the end of the answer. */
  readonly latency: Percentiles;
  /** To the first byte of the answer's body; undefined where that is not measured. */
  readonly firstByte?: Percentiles;
}

/** Some of the latencies. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** A way to load a gateway. */
export interface Load {
  readonly name: string;
  /** One line for the table. */
  readonly title: string;
  /** What CPU is divided by. */
  readonly unit: "request" | "chunk";
  /** Its part of `--seconds`. */
  readonly share: number;
  /** Whether the upstream itself is loaded too, so that what a gateway adds can be told. */
  readonly direct: boolean;
  run(gateway: BenchGateway, seconds: number): Promise<LoadResult>;
}
