import { type Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { HttpReply } from "../http/http-reply.ts";
import { readBody } from "../http/read-body.ts";
import { readCachePolicy, readDialectHeaders, readTags, readTimeoutMs } from "../http/read-request-headers.ts";
import type { KeptThings } from "../owned/kept-things.ts";
import type { Inspection } from "../pipeline/gateway-call.ts";
import { requestError } from "../pipeline/request-error.ts";
import { RequestRun, type RequestRunDeps } from "../pipeline/request-run.ts";
import type { Endpoint } from "./endpoint.ts";
import { JsonArrayReply } from "./json-array-reply.ts";
import { type BodyType, readContentType } from "./read-content-type.ts";

/** What the endpoints that generate need. */
export interface GenerationDeps extends RequestRunDeps {
  readonly maxBodyBytes: number;
  /** What requests refer to, and what answers leave behind. */
  readonly kept: KeptThings;
}

/** What tells one door from another. */
export interface GenerationDoor {
  /** As in `Endpoint.path`. */
  readonly path: string;
  readonly dialect: Dialect;
  /** The media types of the bodies that it takes; the first is named to who sends another. Absent: JSON. */
  readonly takes?: readonly BodyType[];
  /** What the request asks for, and what the gateway has to know of it. Throws CodecError. */
  inspect(request: DoorRequest): DoorCall;
}

/** A request at a door. */
export interface DoorRequest {
  readonly body: Buffer;
  /** As in `EndpointRequest`. */
  readonly rest: string;
  /** What follows the question mark of the address; empty without one. */
  readonly query: string;
  /** The media type of a multipart body with its boundary; empty for JSON. */
  readonly contentType: string;
}

/** What a request at a door asks for. */
export interface DoorCall {
  readonly operation: Operation;
  readonly inspection: Inspection;
  /** Whether the events of a stream are wanted as the elements of one JSON array. Absent: no. */
  readonly asArray?: boolean;
}

const jsonOnly: readonly BodyType[] = ["application/json"];

/** Makes the endpoint of a door: all doors read, run and answer in the same way. */
export function createGenerationEndpoint(door: GenerationDoor, deps: GenerationDeps): Endpoint {
  const { dialect } = door;
  return {
    method: "POST",
    path: door.path,
    dialect,
    async handle(request) {
      const { req, res, key, requestId, rest, arrivedAt } = request;
      const contentType = readContentType(req.headers["content-type"] ?? "", door.takes ?? jsonOnly);
      const header = (name: string): string | undefined => {
        const value = req.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      const body = await readBody(req, deps.maxBodyBytes);
      const url = req.url ?? "";
      const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
      const { operation, inspection, asArray } = inspected(() => door.inspect({ body, rest, query, contentType }));
      const prepared = deps.kept.prepare({ body, contentType, dialect, inspection, key });
      const kept = prepared instanceof Promise ? await prepared : prepared;
      await deps.tracer.run(`${operationNames.get(operation) ?? ""} ${inspection.model}`, header, (traceparent) => {
        const reply = kept.wrap(new HttpReply(res, requestId, dialect));
        const run = new RequestRun(
          {
            requestId,
            key,
            operation,
            dialect,
            body: kept.body,
            contentType,
            inspection: kept.inspection,
            provider: kept.provider,
            tags: readTags(header, key.tags),
            dialectHeaders: readDialectHeaders(header, dialect),
            cachePolicy: readCachePolicy(header),
            timeoutMs: readTimeoutMs(header),
            arrivedAt,
            traceparent,
          },
          asArray === true ? new JsonArrayReply(reply, dialect, requestId) : reply,
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
  [Operation.MODERATE, "moderate"],
  [Operation.RERANK, "rerank"],
  [Operation.GENERATE_IMAGE, "generate_image"],
  [Operation.EDIT_IMAGE, "edit_image"],
  [Operation.SPEAK, "speak"],
  [Operation.TRANSCRIBE, "transcribe"],
  [Operation.TRANSLATE, "translate"],
  [Operation.COUNT_TOKENS, "count_tokens"],
]);

/** Runs what reads a request, and makes its complaints those of the gateway. */
function inspected<T>(inspect: () => T): T {
  try {
    return inspect();
  } catch (error) {
    throw requestError(error);
  }
}
