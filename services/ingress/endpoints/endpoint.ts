import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import type { HttpRequest, HttpResponse } from "#kit/http/create-http-server.ts";

/** One request at an endpoint, after authentication. */
export interface EndpointRequest {
  readonly req: HttpRequest;
  readonly res: HttpResponse;
  readonly requestId: string;
  readonly key: KeyRecord;
  /** What the path has beyond the endpoint's own, without query; empty when it ends there. */
  readonly rest: string;
  /** Monotonic milliseconds at which the request arrived. */
  readonly arrivedAt: number;
}

/** Something that a path leads to. Every endpoint is behind authentication: there is no way to declare one that is not. */
export interface Endpoint {
  readonly method: "GET" | "POST" | "DELETE";
  /** The path without `/v1`, such as `/chat/completions`; one that ends in `/` takes whatever follows. */
  readonly path: string;
  /** In whose errors are written. Absent: in that of the client, as its header fields tell. */
  readonly dialect?: Dialect;
  /** Answers. What it rejects with is rendered in the dialect. */
  handle(request: EndpointRequest): Promise<void> | void;
}
