import { CodecError } from "#codec/codec.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

/** What a caller is told of what is wrong with its request; anything but a CodecError stays what it is. */
export function requestError(error: unknown): unknown {
  return error instanceof CodecError
    ? gatewayError(ErrorReason.INVALID_REQUEST, error.message, {
        metadata: { code: error.code, ...(error.param === undefined ? {} : { param: error.param }) },
        cause: error,
      })
    : error;
}
