import { Buffer } from "node:buffer";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { HttpReply } from "../http/http-reply.ts";
import type { ReplyHead } from "../pipeline/gateway-call.ts";
import type { EndpointRequest } from "./endpoint.ts";

/** Answers with what a provider said, as the caller is to see it. */
export function replyAnswer(request: EndpointRequest, dialect: Dialect, head: ReplyHead, body: Uint8Array): void {
  const reply = new HttpReply(request.res, request.requestId, dialect);
  reply.head(head);
  reply.end(body);
}

/** Answers with what the gateway itself knows. */
export function replyJson({ res, requestId }: EndpointRequest, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(200, {
    "content-type": "application/json",
    "content-length": body.length,
    "x-request-id": requestId,
  });
  res.end(body);
}

/** The query of a request. */
export function queryOf({ req }: EndpointRequest): URLSearchParams {
  const url = req.url ?? "";
  const mark = url.indexOf("?");
  return new URLSearchParams(mark === -1 ? "" : url.slice(mark + 1));
}

/** What a listing asks for, as all of OpenAI's are asked. Throws INVALID_REQUEST for what OpenAI would refuse. */
export function readPage(
  query: URLSearchParams,
  limits: { readonly usual: number; readonly most: number },
): { readonly afterId: string; readonly limit: number; readonly ascending: boolean } {
  const limit = query.get("limit") ?? String(limits.usual);
  if (!/^[1-9]\d{0,5}$/.test(limit) || Number(limit) > limits.most) {
    throw invalid("limit", `expected an integer from 1 to ${limits.most}`);
  }
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") {
    throw invalid("order", "expected asc or desc");
  }
  return { afterId: query.get("after") ?? "", limit: Number(limit), ascending: order === "asc" };
}

/** OpenAI's form of a list. */
export function listBody(data: readonly object[], hasMore: boolean): object {
  const idOf = (item: object | undefined): unknown => (item !== undefined && "id" in item ? item.id : null);
  return { object: "list", data, first_id: idOf(data[0]), last_id: idOf(data.at(-1)), has_more: hasMore };
}

/** What comes of a path below one that ends in a slash that leads nowhere. */
export function unknownPath({ req }: EndpointRequest): Error {
  return gatewayError(
    ErrorReason.UNKNOWN_URL,
    `Unknown request URL: ${req.method ?? ""} ${(req.url ?? "").split("?", 1)[0]?.slice(0, 200) ?? ""}.`,
  );
}

/** The id and what follows it in the rest of a path. Throws UNKNOWN_URL for an id that is none. */
export function splitRest(request: EndpointRequest): { readonly id: string; readonly action: string } {
  const slash = request.rest.indexOf("/");
  const id = slash === -1 ? request.rest : request.rest.slice(0, slash);
  if (!/^[A-Za-z0-9_.:-]{1,512}$/.test(id)) {
    throw unknownPath(request);
  }
  return { id, action: slash === -1 ? "" : request.rest.slice(slash + 1) };
}

function invalid(name: string, problem: string): Error {
  return gatewayError(ErrorReason.INVALID_REQUEST, `Invalid '${name}': ${problem}.`, { metadata: { param: name } });
}
