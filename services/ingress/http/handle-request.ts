import { ConnectError } from "@connectrpc/connect";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { KeyDirectory } from "../snapshots/key-directory.ts";
import type { AuthFailureLimiter } from "./auth-failure-limiter.ts";
import type { HttpRequest, HttpResponse } from "#kit/http/create-http-server.ts";
import type { Operation } from "#kit/http/create-operations.ts";
import { sendError } from "./http-reply.ts";
import { newRequestId } from "./new-request-id.ts";
import { readCredential } from "./read-credential.ts";

/** What the handling of requests needs. */
export interface HandleRequestDeps {
  readonly endpoints: readonly Endpoint[];
  readonly keys: KeyDirectory;
  readonly failures: AuthFailureLimiter;
  /** Connect, gRPC and gRPC-web services: typed calls and admin calls. */
  readonly services: (req: HttpRequest, res: HttpResponse) => void;
  /** Health, readiness and metrics. */
  readonly operations: ReadonlyMap<string, Operation>;
  /** How many requests run now. */
  readonly running: () => number;
  readonly maxInFlight: number;
  /** Monotonic milliseconds. */
  readonly monotonicNow: () => number;
  readonly onInternalError: (requestId: string, error: unknown) => void;
}

/** Takes all requests of the public port. */
export interface RequestHandler {
  handle(req: HttpRequest, res: HttpResponse): void;
  /** From now on requests are refused, and connections closed after their answers. */
  drain(): void;
}

/** Makes the handler: finds the endpoint of a path, authenticates, and renders what goes wrong. */
export function createRequestHandler(deps: HandleRequestDeps): RequestHandler {
  const exact = new Map<string, Endpoint[]>();
  const prefixes: Endpoint[] = [];
  for (const endpoint of deps.endpoints) {
    if (endpoint.path.endsWith("/")) {
      prefixes.push(endpoint);
    } else {
      exact.set(endpoint.path, [...(exact.get(endpoint.path) ?? []), endpoint]);
    }
  }
  let draining = false;

  function find(path: string, method: string): { readonly endpoint: Endpoint; readonly rest: string } {
    const known = exact.get(path) ?? prefixes.filter((endpoint) => isBelow(path, endpoint.path));
    const endpoint = known.find((candidate) => candidate.method === method);
    if (endpoint !== undefined) {
      return { endpoint, rest: path.slice(endpoint.path.length) };
    }
    if (known.length > 0) {
      const methods = [...new Set(known.map((other) => other.method))].toSorted();
      throw gatewayError(
        ErrorReason.METHOD_NOT_ALLOWED,
        `Not allowed to ${method} on /v1${path.slice(0, 200)}. Use ${methods.join(" or ")}.`,
        { metadata: { allow: methods.join(", ") } },
      );
    }
    throw gatewayError(ErrorReason.UNKNOWN_URL, `Unknown request URL: ${method} /v1${path.slice(0, 200)}.`);
  }

  async function serve(req: HttpRequest, res: HttpResponse, path: string): Promise<void> {
    const requestId = newRequestId();
    const arrivedAt = deps.monotonicNow();
    let dialect = dialectOf(req);
    try {
      if (draining) {
        throw gatewayError(ErrorReason.DRAINING, "The gateway is shutting down.", { retryDelayMs: 1_000 });
      }
      if (deps.running() > deps.maxInFlight) {
        throw gatewayError(ErrorReason.OVERLOADED, "The gateway has too many requests at once.", {
          retryDelayMs: 1_000,
        });
      }
      const { endpoint, rest } = find(path, req.method ?? "");
      dialect = endpoint.dialect ?? dialect;
      const found = deps.keys.find(
        readCredential((name) => {
          const value = req.headers[name];
          return Array.isArray(value) ? value[0] : value;
        }),
      );
      const key = found instanceof Promise ? await found : found;
      if (key.admin) {
        throw gatewayError(
          ErrorReason.PERMISSION_DENIED,
          "An admin key cannot call models; make a virtual key with it.",
        );
      }
      await endpoint.handle({ req, res, requestId, key, rest, arrivedAt });
    } catch (error) {
      refuse(req, res, dialect, requestId, error);
    }
  }

  function refuse(req: HttpRequest, res: HttpResponse, dialect: Dialect, requestId: string, error: unknown): void {
    let shown = ConnectError.from(error);
    if (errorDetailOf(shown).reason === ErrorReason.INVALID_API_KEY) {
      try {
        deps.failures.count(req.socket.remoteAddress ?? "");
      } catch (limited) {
        shown = ConnectError.from(limited);
      }
    }
    if (!(error instanceof ConnectError)) {
      deps.onInternalError(requestId, error);
    }
    if (res.headersSent || res.destroyed) {
      res.destroy();
      return;
    }
    const detail = errorDetailOf(shown);
    const { allow } = detail.metadata;
    if (allow !== undefined) {
      res.setHeader("allow", allow);
    }
    if (!req.complete) {
      // The rest of a body that nobody reads must not be taken for the next request.
      res.setHeader("connection", "close");
    }
    sendError(res, dialect, shown, requestId);
  }

  return {
    handle(req, res) {
      const url = req.url ?? "/";
      const query = url.indexOf("?");
      const path = query === -1 ? url : url.slice(0, query);
      const operation = req.method === "GET" ? deps.operations.get(path) : undefined;
      if (operation !== undefined) {
        operation(res);
        return;
      }
      if (req.method === "HEAD" && path === "/") {
        res.writeHead(200).end();
        return;
      }
      if (path.startsWith("/penstock.")) {
        deps.services(req, res);
        return;
      }
      serve(req, res, path.startsWith("/v1/") ? path.slice(3) : path).catch((error: unknown) => {
        // Not even the refusal could be written.
        deps.onInternalError("", error);
        res.destroy();
      });
    },
    drain() {
      draining = true;
    },
  };
}

/** In whose words to refuse a request to a path that says nothing of it: known by header fields that clients always send. */
function dialectOf({ headers }: HttpRequest): Dialect {
  if (headers["anthropic-version"] !== undefined) {
    return Dialect.ANTHROPIC_MESSAGES;
  }
  return headers["x-goog-api-key"] === undefined ? Dialect.OPENAI_CHAT : Dialect.GEMINI;
}

function isBelow(path: string, prefix: string): boolean {
  return path.length > prefix.length && path.startsWith(prefix);
}
