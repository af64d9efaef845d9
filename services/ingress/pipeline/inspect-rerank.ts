import { Buffer } from "node:buffer";
import { decodeRerankRequest } from "#codec/rerank/rerank-codec.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

/** Reads and checks a request to order documents. Throws CodecError for one that no provider would take. */
export function inspectRerank(bytes: Buffer): Inspection {
  const body = parseBody(bytes);
  const model = readModel(body);
  const { query, documents } = decodeRerankRequest(body);
  return {
    model,
    stream: false,
    // Models read the query again with each document.
    inputTokenBound: BigInt(bytes.length) + BigInt(Buffer.byteLength(query)) * BigInt(documents.length),
    outputTokenLimit: 0n,
    candidates: 1n,
  };
}
