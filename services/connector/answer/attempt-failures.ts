import { CodecError, type DecodedError, type Json } from "#codec/codec.ts";
import { ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";
import { AuthorizeError } from "../upstream/authorize-error.ts";
import type { UpstreamHeaders } from "../upstream/upstream.ts";
import type { AttemptFailure } from "./map-provider-error.ts";
import { maskSecrets } from "./mask-secrets.ts";

/** What a request that could not be built amounts to. Throws again what is not the request's fault. */
export function failureOfRequest(error: unknown): AttemptFailure {
  if (!(error instanceof CodecError)) {
    throw error;
  }
  return {
    errorClass:
      error.code === "unsupported_feature" ? ProviderErrorClass.UNSUPPORTED : ProviderErrorClass.INVALID_REQUEST,
    message: error.message,
    mayHaveBilled: false,
    decoded: { message: error.message, type: "", code: error.code, param: error.param ?? "", retryDelayMs: undefined },
    cause: error,
  };
}

/** What a request that could not be authorized amounts to: nothing of it was sent. */
export function failureOfAuthorization(error: unknown, secrets: readonly string[]): AttemptFailure {
  const isRefused = !(error instanceof AuthorizeError) || error.isRefused;
  return {
    errorClass: isRefused ? ProviderErrorClass.AUTH : ProviderErrorClass.UNREACHABLE,
    message: maskSecrets(
      error instanceof AuthorizeError ? error.message : "The request to the provider could not be authorized.",
      secrets,
    ),
    mayHaveBilled: false,
    cause: error,
  };
}

/** AWS has the kind of an error in a header field, in front of a colon. */
export function withErrorType(decoded: DecodedError, headers: UpstreamHeaders): DecodedError {
  const named = headers["x-amzn-errortype"];
  return decoded.type !== "" || typeof named !== "string" ? decoded : { ...decoded, type: named.split(":")[0] ?? "" };
}

/** The statuses of the errors that AWS sends inside a stream. */
const statusByType: ReadonlyMap<string, number> = new Map([
  ["throttlingexception", 429],
  ["servicequotaexceededexception", 429],
  ["serviceunavailableexception", 503],
  ["internalserverexception", 500],
  ["modeltimeoutexception", 408],
  ["modelstreamerrorexception", 424],
  ["modelerrorexception", 424],
  ["modelnotreadyexception", 429],
  ["validationexception", 400],
  ["accessdeniedexception", 403],
  ["resourcenotfoundexception", 404],
]);

/** A status for an error that came without one, so that it is judged like any other. */
export function statusOfDecoded(decoded: DecodedError): number {
  const words = `${decoded.code} ${decoded.type}`.toLowerCase();
  const named = /\b([45]\d\d)\b/.exec(words);
  if (named?.[1] !== undefined) {
    return Number(named[1]);
  }
  return statusByType.get(decoded.type.toLowerCase()) ?? (words.includes("invalid_request") ? 400 : 200);
}

/** The JSON of an error's body; undefined for an error page, whose text tells a caller nothing that its status does not. */
export function parseErrorBody(chunks: readonly Uint8Array[]): Json | undefined {
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    // Google writes the error of a streaming method as an event. Whatever JSON.parse makes is a Json.
    return JSON.parse(/^data:(.*)/m.exec(text)?.[1] ?? text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
