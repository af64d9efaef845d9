import type { ServiceImpl } from "@connectrpc/connect";
import type { ConnectorService } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { CallerCodecs } from "./caller-codecs.ts";
import { executeAttempt } from "./execute-attempt.ts";
import type { Provider } from "./providers/provider.ts";

/** What the service needs. */
export interface ConnectorDeps {
  /** The provider of a name, as configured at this moment. */
  readonly providerOf: (name: string) => Provider | undefined;
  readonly callers: CallerCodecs;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/** Translates between ConnectorService and attempts. Holds no state of its own. */
export function createConnectorService(deps: ConnectorDeps): ServiceImpl<typeof ConnectorService> {
  return {
    execute(request) {
      const provider = deps.providerOf(request.provider);
      if (provider === undefined) {
        throw gatewayError(ErrorReason.NOT_FOUND, `This connector has no provider ${request.provider}.`);
      }
      return executeAttempt(request, provider, deps);
    },
  };
}
