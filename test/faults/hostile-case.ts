import { Buffer } from "node:buffer";
import type { RawPart } from "./raw-http.ts";

/** The credentials that cases use and misuse. None may ever come back in an answer. */
export interface HostileKeys {
  /** With a budget of $10, so that whatever stays held shows. */
  readonly good: string;
  /** Another valid key. */
  readonly other: string;
  readonly revoked: string;
  /** May use the model `another` only. */
  readonly narrow: string;
  /** With a budget that covers no request. */
  readonly poor: string;
  readonly admin: string;
  /** Not a credential: an address that nobody must ask, whatever a request says. */
  readonly bystander: string;
}

/** What must come of a request. */
export interface HostileOutcome {
  readonly status: number;
  /** `error.type`; `invalid_request_error` unless given. */
  readonly type?: string;
  /** `error.code`; not looked at unless given. */
  readonly code?: string | null;
  /** `error.param`; null unless given. */
  readonly param?: string | null;
  /** Header fields that must have these values. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * How much of HTTP was left intact: `request` (the default) means that the answer has everything; `connection` that it
   * could not be read as a request, so there is a status and a body, and the connection is closed; `head` that there is only a status; `connect` that the
   * endpoint speaks Connect's error shape.
   */
  readonly intact?: "request" | "connection" | "head" | "connect";
}

/** Bad input, and what must come of it. */
export interface HostileCase {
  /** What is sent, as the end of a sentence that begins with "refuses". */
  readonly name: string;
  readonly send: (keys: HostileKeys) => readonly RawPart[];
  readonly expect: HostileOutcome;
  /** Closes the sending side after the last byte. */
  readonly halfClose?: boolean;
}

/** Odd input that is none of the gateway's business: it must reach the provider, and be accounted for. */
export interface OddCase {
  /** What is sent, as the end of a sentence that begins with "passes on". */
  readonly name: string;
  readonly send: (keys: HostileKeys) => readonly RawPart[];
}

/** A request to be spoilt. */
export interface RequestParts {
  /** `POST` unless given. */
  readonly method?: string;
  /** `/v1/chat/completions` unless given. */
  readonly path?: string;
  /** The credential; none when undefined. */
  readonly key?: string | undefined;
  /** Lines without their ends, after `host`, the credential and `content-type`. */
  readonly headers?: readonly string[];
  /** `application/json` unless given; none when null. */
  readonly contentType?: string | null;
  readonly body?: string | Uint8Array;
  /** `content-length` of the body unless given; none when null. */
  readonly length?: string | null;
}

/** Writes a request as it goes over the wire. */
export function rawRequest(parts: RequestParts): readonly RawPart[] {
  const body = Buffer.from(parts.body ?? "");
  const contentType = parts.contentType === undefined ? "application/json" : parts.contentType;
  const length = parts.length === undefined ? String(body.length) : parts.length;
  const lines = [
    `${parts.method ?? "POST"} ${parts.path ?? "/v1/chat/completions"} HTTP/1.1`,
    "host: gateway",
    ...(parts.key === undefined ? [] : [`authorization: Bearer ${parts.key}`]),
    ...(contentType === null ? [] : [`content-type: ${contentType}`]),
    ...(length === null ? [] : [`content-length: ${length}`]),
    ...(parts.headers ?? []),
  ];
  return [`${lines.join("\r\n")}\r\n\r\n`, body];
}

/** A request whose only fault is its body. */
export function withBody(body: string | Uint8Array, path?: string): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, body, ...(path === undefined ? {} : { path }) });
}

/** A chat completion that is good but for these members. A member that is undefined is left out. */
export function chatWith(members: object): HostileCase["send"] {
  return withBody(JSON.stringify({ ...goodChat, ...members }));
}

/** A good chat completion. */
export const goodChat = { model: "plain", messages: [{ role: "user", content: "Hi" }], max_tokens: 10 };
/** The text of a good chat completion. */
export const goodBody = JSON.stringify(goodChat);
