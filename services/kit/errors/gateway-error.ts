import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ErrorDetail,
  ErrorDetailSchema,
  ErrorReason,
  type ProviderError,
} from "#gen/penstock/type/v1/error_pb.ts";
import { reasonEntry } from "./reasons.ts";

/** What may be said about an error beside its reason and message. */
export interface GatewayErrorOptions {
  /** How long to wait before a retry can succeed, in milliseconds. */
  readonly retryDelayMs?: number;
  /** Facts for the reader: `param`, `limit`, `value`. Never a secret or a prompt. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly providerError?: ProviderError;
  /** Kept for logs, never sent. */
  readonly cause?: unknown;
}

/** Makes an error of the catalogue: a ConnectError with exactly one ErrorDetail. `message` is shown to the caller. */
export function gatewayError(reason: ErrorReason, message: string, options: GatewayErrorOptions = {}): ConnectError {
  const detail = create(ErrorDetailSchema, {
    reason,
    metadata: { ...options.metadata },
    ...(options.retryDelayMs === undefined ? {} : { retryDelay: durationFromMs(Math.ceil(options.retryDelayMs)) }),
    ...(options.providerError === undefined ? {} : { providerError: options.providerError }),
  });
  return new ConnectError(
    message,
    reasonEntry(reason).code,
    undefined,
    [{ desc: ErrorDetailSchema, value: detail }],
    options.cause,
  );
}

/** Reads the detail of an error that crossed a service boundary; an error without one is judged by its code. */
export function errorDetailOf(error: unknown): ErrorDetail {
  const connectError = ConnectError.from(error);
  const [detail] = connectError.findDetails(ErrorDetailSchema);
  return detail ?? create(ErrorDetailSchema, { reason: reasonOfCode(connectError.code) });
}

/** The delay in milliseconds, or undefined when there is none. */
export function retryDelayMsOf(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}

function reasonOfCode(code: Code): ErrorReason {
  switch (code) {
    case Code.Canceled:
      return ErrorReason.CLIENT_CLOSED;
    case Code.DeadlineExceeded:
      return ErrorReason.UPSTREAM_TIMEOUT;
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return ErrorReason.INVALID_REQUEST;
    case Code.NotFound:
      return ErrorReason.NOT_FOUND;
    case Code.PermissionDenied:
      return ErrorReason.PERMISSION_DENIED;
    case Code.Unauthenticated:
      return ErrorReason.INVALID_API_KEY;
    case Code.ResourceExhausted:
      return ErrorReason.OVERLOADED;
    case Code.Unavailable:
      return ErrorReason.SERVICE_UNAVAILABLE;
    default:
      return ErrorReason.INTERNAL;
  }
}
