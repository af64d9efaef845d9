import { ErrorReason, ProviderErrorClass } from "#gen/penstock/type/v1/error_pb.ts";

/** The reason that a caller is given for what a provider failed with. */
export function reasonOfProviderClass(errorClass: ProviderErrorClass): ErrorReason {
  switch (errorClass) {
    case ProviderErrorClass.RATE_LIMITED:
    case ProviderErrorClass.QUOTA:
      return ErrorReason.UPSTREAM_RATE_LIMITED;
    case ProviderErrorClass.INVALID_REQUEST:
      return ErrorReason.INVALID_REQUEST;
    case ProviderErrorClass.CONTEXT_LENGTH:
      return ErrorReason.CONTEXT_LENGTH_EXCEEDED;
    case ProviderErrorClass.CONTENT_FILTER:
      return ErrorReason.CONTENT_FILTER;
    case ProviderErrorClass.UNSUPPORTED:
      return ErrorReason.UNSUPPORTED_FEATURE;
    case ProviderErrorClass.TIMEOUT:
      return ErrorReason.UPSTREAM_TIMEOUT;
    case ProviderErrorClass.UNREACHABLE:
      return ErrorReason.UPSTREAM_UNREACHABLE;
    case ProviderErrorClass.TRUNCATED:
    case ProviderErrorClass.DISCONNECTED:
      return ErrorReason.UPSTREAM_TRUNCATED;
    case ProviderErrorClass.MALFORMED:
      return ErrorReason.UPSTREAM_MALFORMED;
    case ProviderErrorClass.MODEL_NOT_FOUND:
      // Whoever names `provider/model` names the provider's models too.
      return ErrorReason.MODEL_NOT_FOUND;
    case ProviderErrorClass.AUTH:
      // The operator's account is at fault, not the caller.
      return ErrorReason.UPSTREAM_AUTH;
    default:
      return ErrorReason.UPSTREAM_FAILED;
  }
}
