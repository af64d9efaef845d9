import type { Buffer } from "node:buffer";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { CodecError } from "#codec/codec.ts";
import { ErrorDetailSchema, ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { ExecuteRequestSchema } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { createCallerCodecs } from "../../services/connector/caller-codecs.ts";
import type { Provider } from "../../services/connector/providers/provider.ts";
import { prepareAttempt } from "../../services/connector/request/prepare-attempt.ts";
import { doors } from "../../services/ingress/endpoints/doors.ts";
import type { RequestSeed } from "./seeds.ts";

const callers = createCallerCodecs();

/**
 * Reads a request as its door does, and writes it for a provider. Returns "refused" when that was refused in words for
 * the caller. Throws whatever else happens.
 */
export function playRequest(
  seed: Pick<RequestSeed, "path" | "rest">,
  body: Buffer,
  account: Provider,
): "sent" | "refused" {
  const door = doors.find((candidate) => candidate.path === seed.path);
  if (door === undefined) {
    throw new Error(`no door is at ${seed.path}`);
  }
  try {
    const { operation, inspection } = door.inspect({ body, rest: seed.rest, query: "", contentType: "" });
    prepareAttempt(
      create(ExecuteRequestSchema, {
        provider: account.name,
        model: "x",
        operation,
        dialect: door.dialect,
        stream: inspection.stream,
        body,
      }),
      account,
      callers,
      () => ({ fallbackId: "id", fallbackCreated: 1 }),
    );
    return "sent";
  } catch (error) {
    if (error instanceof CodecError || isForCaller(error)) {
      return "refused";
    }
    throw error;
  }
}

function isForCaller(error: unknown): boolean {
  return (
    error instanceof ConnectError &&
    error.findDetails(ErrorDetailSchema).some(({ reason }) => reason !== ErrorReason.INTERNAL)
  );
}
