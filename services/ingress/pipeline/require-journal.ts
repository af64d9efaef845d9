import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { UsageRecorder } from "../usage/usage-recorder.ts";

/** Refuses a request whose usage could not be recorded. */
export function requireJournal({ blocked }: UsageRecorder): void {
  if (blocked !== undefined) {
    throw gatewayError(ErrorReason.JOURNAL_UNAVAILABLE, `Requests are refused because ${blocked}.`, {
      retryDelayMs: 1_000,
    });
  }
}
