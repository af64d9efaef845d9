import { Buffer } from "node:buffer";
import { CodecError, type JsonObject } from "#codec/codec.ts";
import type { Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type AnswerEnd, type AnswerReader, noBytes } from "./answer-reader.ts";
import { wellFormedUtf8 } from "./well-formed-utf8.ts";

/** The largest answer that is taken in one piece. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Makes the caller's body of a provider's complete one. `raw` are the bytes as they came. */
export type ConvertWhole = (
  body: JsonObject,
  raw: Uint8Array,
) => { readonly bytes: Uint8Array; readonly end: AnswerEnd };

/** Takes a whole answer before any of it reaches the caller: what is cut is never shown. */
export class WholeAnswer implements AnswerReader {
  readonly contentType: string;
  readonly over = false;
  readonly contentSeen = false;
  readonly usageSoFar: Usage | undefined = undefined;
  readonly #convert: ConvertWhole;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(contentType: string, convert: ConvertWhole) {
    this.contentType = contentType;
    this.#convert = convert;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#bytes += chunk.length;
    if (this.#bytes > maxAnswerBytes) {
      throw new CodecError("the answer is too large", { code: "answer_too_large" });
    }
    this.#chunks.push(chunk);
    return noBytes;
  }

  finish(): { readonly bytes: Uint8Array; readonly end: AnswerEnd } {
    const [only] = this.#chunks;
    const raw = wellFormedUtf8(this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks));
    this.#chunks = [];
    return this.#convert(parseObject(raw), raw);
  }
}

function parseObject(raw: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8"));
  } catch (error) {
    throw new CodecError("the answer is not JSON", { code: "invalid_json", cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CodecError("the answer is not a JSON object", { code: "invalid_type" });
  }
  // JSON.parse made it, and it is an object.
  return value as JsonObject;
}
