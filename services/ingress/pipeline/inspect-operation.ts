import type { Buffer } from "node:buffer";
import { CodecError, type Json, type JsonObject } from "#codec/codec.ts";
import { fieldOf, parseMultipart } from "#codec/multipart/parse-multipart.ts";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { tokensOfReference } from "./bound-tokens.ts";
import type { Inspection } from "./gateway-call.ts";
import { parseBody, readModel } from "./parse-body.ts";

/** A request of an operation that is forwarded as it came, however its body is written. */
interface OperationBody {
  readonly model: string;
  /** The value of a member or a field as text; undefined when it is not there. */
  text(name: string): string | undefined;
  /** The bytes of what is text. */
  readonly textBytes: number;
  readonly files: number;
  readonly fileBytes: number;
}

/** What OpenAI takes where a classification names no model. */
const defaultModerationModel = "omni-moderation-latest";
/** Larger than any provider counts for one picture, those on the way to it included. */
const tokensOfDrawing = 20_000n;
/** Larger than any model writes down of the longest recording that it takes. */
const tokensOfTranscript = 8_192n;
/** Slow speech in a language whose characters have three bytes stays below this, in tokens of sound for a byte. */
const spokenTokensPerByte = 8n;
/** What an hour of sound or a picture usually comes to in relation to its bytes, as if they were bytes of text. */
const fileBytesPerTextByte = 250;

/**
 * Reads what the gateway has to know of a request for images, speech, transcripts or a classification. Everything else is
 * for the provider to check. `contentType` is that of a multipart body, and empty for JSON. Throws CodecError.
 */
export function inspectOperation(bytes: Buffer, contentType: string, operation: Operation): Inspection {
  const body = contentType === "" ? readJson(bytes, operation) : readMultipart(bytes, contentType);
  const streamField = operation === Operation.SPEAK ? "stream_format" : "stream";
  const stream = body.text(streamField);
  return {
    model: body.model,
    stream: operation === Operation.SPEAK ? stream === "sse" : stream?.toLowerCase() === "true" || stream === "1",
    inputTokenBound: boundInput(body, operation),
    inputTextBytes: body.textBytes + Math.ceil(body.fileBytes / fileBytesPerTextByte),
    ...boundOutput(body, operation),
  };
}

function boundInput(body: OperationBody, operation: Operation): bigint {
  const files = BigInt(body.files);
  switch (operation) {
    case Operation.TRANSCRIBE:
    case Operation.TRANSLATE:
      // Silence has next to no bytes, and the longest recording that models take no more tokens than this.
      return BigInt(body.textBytes) + files * tokensOfReference.audio + BigInt(Math.ceil(body.fileBytes / 50));
    default:
      return BigInt(body.textBytes) + files * tokensOfReference.image;
  }
}

function boundOutput(body: OperationBody, operation: Operation): Pick<Inspection, "outputTokenLimit" | "candidates"> {
  switch (operation) {
    case Operation.GENERATE_IMAGE:
    case Operation.EDIT_IMAGE:
      return { outputTokenLimit: tokensOfDrawing, candidates: readImageCount(body.text("n")) };
    case Operation.SPEAK:
      return { outputTokenLimit: BigInt(body.textBytes) * spokenTokensPerByte, candidates: 1n };
    case Operation.TRANSCRIBE:
    case Operation.TRANSLATE:
      return { outputTokenLimit: tokensOfTranscript, candidates: 1n };
    default:
      return { outputTokenLimit: 0n, candidates: 1n };
  }
}

function readImageCount(text: string | undefined): bigint {
  if (text === undefined) {
    return 1n;
  }
  if (!/^(?:[1-9]\d?|100)$/.test(text)) {
    throw new CodecError("Invalid 'n': expected an integer from 1 to 100.", { code: "invalid_value", param: "n" });
  }
  return BigInt(text);
}

function readJson(bytes: Buffer, operation: Operation): OperationBody {
  const body = parseBody(bytes);
  const named =
    operation === Operation.MODERATE && (body["model"] ?? undefined) === undefined
      ? { ...body, model: defaultModerationModel }
      : body;
  return {
    model: readModel(named),
    text: (name) => textOf(body[name]),
    textBytes: bytes.length,
    files: countImages(body),
    fileBytes: 0,
  };
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}

/** Pictures to be changed, or to be classified, which a body may only refer to. */
function countImages(body: JsonObject): number {
  const { images, mask, image, input } = body;
  const listed = [images, image, mask].reduce<number>(
    (sum, value) => sum + (Array.isArray(value) ? value.length : (value ?? undefined) === undefined ? 0 : 1),
    0,
  );
  const classified = Array.isArray(input)
    ? (input as readonly Json[]).filter((part) => typeof part === "object" && part !== null && "image_url" in part)
    : [];
  return listed + classified.length;
}

function readMultipart(bytes: Buffer, contentType: string): OperationBody {
  const parts = parseMultipart(bytes, contentType);
  const text = (name: string): string | undefined => {
    const field = fieldOf(parts, name);
    return field === undefined ? undefined : bytes.toString("utf8", field.start, field.end);
  };
  const model = text("model");
  if (model === undefined || model === "") {
    throw new CodecError("you must provide a model parameter", { code: "missing_required_parameter", param: "model" });
  }
  if (model.length > 300) {
    throw new CodecError("Invalid 'model': it is too long.", { code: "string_above_max_length", param: "model" });
  }
  const files = parts.filter((part) => part.filename !== undefined);
  const fileBytes = files.reduce((sum, part) => sum + part.end - part.start, 0);
  return { model, text, textBytes: bytes.length - fileBytes, files: files.length, fileBytes };
}
