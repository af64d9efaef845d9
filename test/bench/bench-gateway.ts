import { Buffer } from "node:buffer";

/** Something that requests are sent to: a gateway under test, or the upstream itself. */
export interface BenchGateway {
  /** Shown in the table and given to `--only`. */
  readonly name: string;
  readonly port: number;
  /** The key that requests carry; undefined when none is asked for. */
  readonly key: string | undefined;
  /** The processes whose CPU counts as the gateway's. */
  readonly pids: readonly number[];
  /** Its database and bus, whose CPU is told apart: they run on the load's core. */
  readonly otherPids: () => readonly number[];
  /** Resolves when what the requests so far left behind is done: their rows are in the ledger. */
  settled(): Promise<void>;
}

/** A gateway that keeps a ledger, and can be asked what is in it. */
export interface LedgerGateway extends BenchGateway {
  /** The rows of this gateway's key by outcome. */
  ledger(): Promise<readonly LedgerSum[]>;
}

/** What the ledger has for one outcome. */
export interface LedgerSum {
  readonly outcome: string;
  readonly attempts: bigint;
  readonly costNanosUsd: bigint;
}

/** The name that requests call the model by, and the one the upstream knows. */
export const modelName = "bench";

const path = "/v1/chat/completions";
const prompt =
  "Write one sentence about a water mill in spring, in the voice of somebody who has worked there for forty years.";

/** What a request asks for. */
export type RequestKind =
  | { readonly kind: "whole" }
  /** `gapMs` between two events, 0 for all at once. */
  | { readonly kind: "stream"; readonly gapMs: number };

/** The path, header fields and body of the requests of one kind. About 0.3 KB of body. */
export interface BenchRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The request that a gateway is sent. */
export function benchRequest(gateway: BenchGateway, kind: RequestKind): BenchRequest {
  return {
    path,
    headers: {
      "content-type": "application/json",
      accept: "*/*",
      "user-agent": "penstock-bench",
      ...(gateway.key === undefined ? {} : { authorization: `Bearer ${gateway.key}` }),
    },
    body: JSON.stringify({
      model: modelName,
      messages: [
        { role: "system", content: "You are a careful writer. You never use more words than you need." },
        { role: "user", content: prompt },
      ],
      temperature: 0.7,
      ...(kind.kind === "stream" ? { stream: true, user: `gap-${kind.gapMs}` } : {}),
    }),
  };
}

/** The same request as bytes, for raw connections. */
export function requestBytes({ path: target, headers, body }: BenchRequest): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join("")}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
