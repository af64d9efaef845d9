import { CodecError } from "#codec/codec.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { HttpReply } from "../http/http-reply.ts";
import { readBody } from "../http/read-body.ts";
import { readCachePolicy, readTags, readTimeoutMs } from "../http/read-request-headers.ts";
import type { Inspection } from "../pipeline/gateway-call.ts";
import { inspectOpenAiChat, inspectOpenAiEmbeddings } from "../pipeline/inspect-openai.ts";
import { RequestRun, type RequestRunDeps } from "../pipeline/request-run.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";

/** What the endpoints that generate need. */
export interface GenerationDeps extends RequestRunDeps {
  readonly maxBodyBytes: number;
}

/** `POST /v1/chat/completions` and `POST /v1/embeddings`. */
export function createOpenAiGenerationEndpoints(deps: GenerationDeps): readonly Endpoint[] {
  return [
    generation("/chat/completions", Operation.CHAT, inspectOpenAiChat, deps),
    generation("/embeddings", Operation.EMBED, inspectOpenAiEmbeddings, deps),
  ];
}

/** Span names follow OpenTelemetry's conventions for generative AI: the operation, then the model. */
const operationNames: Readonly<Record<string, string>> = { "/chat/completions": "chat", "/embeddings": "embeddings" };

function generation(
  path: string,
  operation: Operation,
  inspect: (body: Buffer) => Inspection,
  deps: GenerationDeps,
): Endpoint {
  const dialect = Dialect.OPENAI_CHAT;
  return {
    method: "POST",
    path,
    dialect,
    async handle(request) {
      const { req, res, key, requestId, arrivedAt } = request;
      requireJson(request);
      const header = (name: string): string | undefined => {
        const value = req.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      const body = await readBody(req, deps.maxBodyBytes);
      const inspection = inspected(inspect, body);
      await deps.tracer.run(`${operationNames[path] ?? path} ${inspection.model}`, header, async (traceparent) => {
        const run = new RequestRun(
          {
            requestId,
            key,
            operation,
            dialect,
            body,
            inspection,
            tags: readTags(header, key.tags),
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
        await run.run();
      });
    },
  };
}

function inspected(inspect: (body: Buffer) => Inspection, body: Buffer): Inspection {
  try {
    return inspect(body);
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
