import type { ConnectorEvent } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import type { EstimatedAttempt } from "../request/prepared-attempt.ts";
import type { AttemptStream } from "./attempt-stream.ts";

/** Answers an attempt for which no provider is asked: nothing is used, so nothing costs. */
export function answerEstimated(attempt: EstimatedAttempt, stream: AttemptStream): void {
  const left = new AbortController();
  stream.attach({ abort: () => left.abort(), pause: () => undefined, resume: () => undefined });
  attempt.estimate(left.signal).then(
    (body) => {
      stream.push(
        wrap({
          case: "head",
          value: {
            $typeName: "penstock.connector.v1.ConnectorHead",
            contentType: attempt.contentType,
            providerRequestId: "",
            droppedParams: [],
            estimated: true,
          },
        }),
      );
      stream.push(wrap({ case: "body", value: body }));
      stream.push(
        wrap({
          case: "end",
          value: {
            $typeName: "penstock.connector.v1.ConnectorEnd",
            finishReason: FinishReason.UNSPECIFIED,
            complete: true,
          },
        }),
      );
      stream.flush();
      stream.end();
    },
    (error: unknown) => stream.fail(error instanceof Error ? error : new Error(String(error))),
  );
}

function wrap(event: ConnectorEvent["event"]): ConnectorEvent {
  return { $typeName: "penstock.connector.v1.ConnectorEvent", event };
}
