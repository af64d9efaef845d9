import { CodecError } from "#codec/codec.ts";
import { type Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { HttpReply } from "../http/http-reply.ts";
import { readBody } from "../http/read-body.ts";
import { readCachePolicy, readDialectHeaders, readTags, readTimeoutMs } from "../http/read-request-headers.ts";
import type { Inspection } from "../pipeline/gateway-call.ts";
import { RequestRun, type RequestRunDeps } from "../pipeline/request-run.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";

/** What the endpoints that generate need. */
export interface GenerationDeps extends RequestRunDeps {
  readonly maxBodyBytes: number;
}

/** What tells one door from another. */
export interface GenerationDoor {
  /** As in `Endpoint.path`. */
  readonly path: string;
  readonly dialect: Dialect;
  /** What the request asks for, and what the gateway has to know of it. `rest` is as in `EndpointRequest`. */
  inspect(body: Buffer, rest: string): { readonly operation: Operation; readonly inspection: Inspection };
}

/** Makes the endpoint of a door: all doors read, run and answer in the same way. */
export function createGenerationEndpoint(door: GenerationDoor, deps: GenerationDeps): Endpoint {
  const { dialect } = door;
  return {
    method: "POST",
    path: door.path,
    dialect,
    async handle(request) {
      const { req, res, key, requestId, rest, arrivedAt } = request;
      requireJson(request);
      const header = (name: string): string | undefined => {
        const value = req.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      const body = await readBody(req, deps.maxBodyBytes);
      const { operation, inspection } = inspected(door, body, rest);
      await deps.tracer.run(`${operationNames.get(operation) ?? ""} ${inspection.model}`, header, (traceparent) => {
        const run = new RequestRun(
          {
            requestId,
            key,
            operation,
            dialect,
            body,
            contentType: "",
            inspection,
            tags: readTags(header, key.tags),
            dialectHeaders: readDialectHeaders(header, dialect),
            cachePolicy: readCachePolicy(header),
            timeoutMs: readTimeoutMs(header),
            arrivedAt,
            traceparent,
          },
          new HttpReply(res, requestId, dialect),
          deps,
        );
        res.on("close", () => {
          if (!res.writableFinished) {
            run.cancel();
          }
        });
        return run.run();
      });
    },
  };
}

/** Span names follow OpenTelemetry's conventions for generative AI: the operation, then the model. */
const operationNames: ReadonlyMap<Operation, string> = new Map([
  [Operation.CHAT, "chat"],
  [Operation.EMBED, "embeddings"],
]);

function inspected(door: GenerationDoor, body: Buffer, rest: string): ReturnType<GenerationDoor["inspect"]> {
  try {
    return door.inspect(body, rest);
  } catch (error) {
    if (error instanceof CodecError) {
      throw gatewayError(ErrorReason.INVALID_REQUEST, error.message, {
        metadata: { code: error.code, ...(error.param === undefined ? {} : { param: error.param }) },
        cause: error,
      });
    }
    throw error;
  }
}

function requireJson({ req }: EndpointRequest): void {
  const contentType = req.headers["content-type"] ?? "";
  if (contentType === "application/json") {
    return;
  }
  if (
    !/^application\/(?:[a-z0-9.+-]+\+)?json\s*(?:;|$)/i.test(contentType) ||
    /charset=(?!"?utf-?8)/i.test(contentType)
  ) {
    throw gatewayError(
      ErrorReason.UNSUPPORTED_MEDIA_TYPE,
      `Unsupported content type: ${JSON.stringify(contentType.slice(0, 100))}. Send application/json in UTF-8.`,
    );
  }
}
