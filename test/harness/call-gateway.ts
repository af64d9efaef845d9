import http from "node:http";
import { sseData } from "./sse-data.ts";

/** An answer of the gateway, read to its end. */
export interface GatewayReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  readonly json: ReplyJson | undefined;
  /** The `data:` fields of a stream, in order. */
  readonly events: readonly string[];
  /** The text of all deltas of a stream, or of the first choice. */
  readonly content: string;
  readonly requestId: string;
}

/** What the tests read of answers and errors in OpenAI's dialect. */
export interface ReplyJson {
  readonly error?: { readonly message: string; readonly type: string; readonly code: string | null };
  readonly choices?: readonly {
    readonly message?: { readonly content: string | null };
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly data?: readonly { readonly id?: string; readonly embedding?: readonly number[] | string }[];
  readonly id?: string;
}

/** Whom to call, and as whom. */
export interface CallTarget {
  readonly url: string;
  /** The secret of a key. */
  readonly key: string;
}

/** A chat completion with one user message. `more` is joined with its body. */
export function chat(
  target: CallTarget,
  model: string,
  more: object = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<GatewayReply> {
  return post(target, "/v1/chat/completions", { model, messages: [{ role: "user", content: "Hi" }], ...more }, headers);
}

/** A POST with a JSON body, its answer read to the end. */
export async function post(
  target: CallTarget,
  path: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<GatewayReply> {
  return await readReply(
    await fetch(target.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${target.key}`, ...headers },
      body: JSON.stringify(body),
    }),
  );
}

/** A GET, its answer read to the end. */
export async function get(target: CallTarget, path: string): Promise<GatewayReply> {
  return await readReply(await fetch(target.url + path, { headers: { authorization: `Bearer ${target.key}` } }));
}

/** A chat completion on a connection of its own, whose caller can leave. */
export interface LeavableCall {
  /** Resolves when the head of the answer is there. */
  readonly responded: Promise<http.IncomingMessage>;
  /** Resolves when the text so far contains this. */
  waitForText(text: string): Promise<void>;
  /** Resolves with all of the text when the answer ends; rejects when it is cut. */
  readonly ended: Promise<string>;
  /** Closes the connection. */
  leave(): void;
}

/** Begins a chat completion that the caller may leave. */
export function beginChat(target: CallTarget, model: string, more: object = {}): LeavableCall {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], ...more });
  const request = http.request(`${target.url}/v1/chat/completions`, {
    method: "POST",
    agent: false,
    headers: { "content-type": "application/json", authorization: `Bearer ${target.key}` },
  });
  const responded = Promise.withResolvers<http.IncomingMessage>();
  const ended = Promise.withResolvers<string>();
  // Whoever leaves does not wait for what comes of it.
  responded.promise.catch(() => undefined);
  ended.promise.catch(() => undefined);
  let text = "";
  let waiting: { readonly text: string; readonly resolve: () => void }[] = [];
  const check = (): void => {
    waiting = waiting.filter((waiter) => {
      const found = text.includes(waiter.text);
      if (found) {
        waiter.resolve();
      }
      return !found;
    });
  };
  request.on("error", (error) => {
    responded.reject(error);
    ended.reject(error);
  });
  request.on("response", (response) => {
    responded.resolve(response);
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      text += chunk;
      check();
    });
    response.on("end", () => ended.resolve(text));
    response.on("error", (error) => ended.reject(error));
  });
  request.end(body);
  return {
    responded: responded.promise,
    ended: ended.promise,
    waitForText: (wanted) =>
      new Promise((resolve) => {
        waiting.push({ text: wanted, resolve });
        check();
      }),
    leave: () => void request.destroy(),
  };
}

async function readReply(response: Response): Promise<GatewayReply> {
  const text = await response.text();
  const isStream = (response.headers.get("content-type") ?? "").startsWith("text/event-stream");
  const events = isStream ? sseData(text) : [];
  const json = isStream ? undefined : parseReply(text);
  const content = isStream
    ? events.map((event) => parseReply(event)?.choices?.[0]?.delta?.content ?? "").join("")
    : (json?.choices?.[0]?.message?.content ?? "");
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    events,
    content,
    requestId: response.headers.get("x-request-id") ?? "",
  };
}

/** JSON of the gateway's, read as what the tests expect; what differs shows as a failed assertion. */
export function parseReply(text: string): ReplyJson | undefined {
  try {
    return JSON.parse(text) as ReplyJson;
  } catch {
    // The final marker of a stream, and bodies that are no JSON.
    return undefined;
  }
}
