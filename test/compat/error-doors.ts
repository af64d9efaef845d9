import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import type { CallTarget } from "../harness/call-gateway.ts";

/** What came out of a door, and what the door's own client made of it. */
export interface DoorError {
  readonly status: number;
  /** The word by which clients tell errors apart: OpenAI's code or type, Anthropic's type, Google's status. */
  readonly word: string;
  /** `x-should-retry`. */
  readonly retry: boolean;
  /** Whether the answer says how long to wait, where the door's client looks for it. */
  readonly waits: boolean;
  /** The class of the client's error; Google's has one, whose status tells. */
  readonly thrown: string;
  /** How many requests the client sent when it may try twice. */
  readonly sent: number;
}

/** A door with its own client, which may try twice. Rejects when the client does not fail. */
export interface ErrorDoor {
  readonly name: string;
  readonly client: string;
  ask(target: CallTarget, model: string): Promise<DoorError>;
}

/** What is read of an error's body at any door. */
interface ErrorBody {
  readonly error: {
    readonly code?: string | number | null;
    readonly type?: string;
    readonly status?: string;
    readonly details?: readonly { readonly retryDelay?: string }[];
  };
}

/** Sends as fetch does, and keeps the last answer. */
class Recorder {
  sent = 0;
  #last: { readonly status: number; readonly headers: Headers; readonly text: string } | undefined;

  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    this.sent += 1;
    const response = await fetch(input, init);
    const text = await response.text();
    const { status, headers } = response;
    this.#last = { status, headers, text };
    return new Response(text, { status, headers });
  };

  /** Runs a call that has to fail, and tells how. */
  async failureOf(call: () => Promise<unknown>, read: (body: ErrorBody, headers: Headers) => Read): Promise<DoorError> {
    const thrown = await call().then(
      () => undefined,
      (error: unknown) => error,
    );
    const last = this.#last;
    if (last === undefined || !(thrown instanceof Error)) {
      throw new Error("the client did not fail", { cause: thrown });
    }
    // Every error of the gateway has such a body; what differs shows as a failed comparison.
    const { word, waits } = read(JSON.parse(last.text) as ErrorBody, last.headers);
    const retry = last.headers.get("x-should-retry") === "true";
    return { status: last.status, word, retry, waits, thrown: thrown.constructor.name, sent: this.sent };
  }
}

interface Read {
  readonly word: string;
  readonly waits: boolean;
}

const messages = [{ role: "user" as const, content: "Hi" }];

function readOpenAi({ error }: ErrorBody, headers: Headers): Read {
  return { word: String(error.code ?? error.type), waits: headers.has("retry-after") };
}

/** All doors through which an error can come out. */
export const errorDoors: readonly ErrorDoor[] = [
  {
    name: "chat",
    client: "openai",
    ask({ url, key }, model) {
      const recorder = new Recorder();
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 1, fetch: recorder.fetch });
      return recorder.failureOf(() => client.chat.completions.create({ model, messages }), readOpenAi);
    },
  },
  {
    name: "responses",
    client: "openai",
    ask({ url, key }, model) {
      const recorder = new Recorder();
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 1, fetch: recorder.fetch });
      return recorder.failureOf(() => client.responses.create({ model, input: "Hi" }), readOpenAi);
    },
  },
  {
    name: "messages",
    client: "@anthropic-ai/sdk",
    ask({ url, key }, model) {
      const recorder = new Recorder();
      const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 1, fetch: recorder.fetch });
      return recorder.failureOf(
        () => client.messages.create({ model, max_tokens: 50, messages }),
        ({ error }, headers) => ({ word: error.type ?? "", waits: headers.has("retry-after") }),
      );
    },
  },
  {
    name: "generateContent",
    client: "@google/genai",
    ask({ url, key }, model) {
      const recorder = new Recorder();
      const client = new GoogleGenAI({
        apiKey: key,
        httpOptions: { baseUrl: url, fetch: recorder.fetch, retryOptions: { attempts: 2, initialDelay: 0.005 } },
      });
      return recorder.failureOf(
        async () => {
          try {
            await client.models.generateContent({ model, contents: "Hi" });
          } catch (error) {
            throw error instanceof ApiError ? error : new Error("not the client's own error", { cause: error });
          }
        },
        ({ error }) => ({ word: error.status ?? "", waits: error.details?.[0]?.retryDelay !== undefined }),
      );
    },
  },
];
