import http from "node:http";
import type { CallTarget } from "../harness/call-gateway.ts";

/** What one call came to, as its caller saw it. */
export interface CallRecord {
  /** The text that the call carries, by which the provider knows it again. */
  readonly marker: string;
  /** The gateway's id of it; empty when no head of an answer came. */
  readonly requestId: string;
  /**
   * `answered`: 200, and the answer came to its proper end. `refused`: another status. `broken`: the connection was
   * refused or broke, so that the caller does not know.
   */
  readonly outcome: "answered" | "refused" | "broken";
  readonly status: number;
}

/** What is called, how often and how many at a time. */
export interface LoadOptions {
  readonly targets: readonly CallTarget[];
  readonly model: string;
  readonly count: number;
  /** How many calls run at a time. */
  readonly concurrency: number;
  /** Comes before the number of each call in its marker. */
  readonly name: string;
  /** Told after each call how many have been answered so far. */
  readonly onCall?: (answered: number) => void;
}

/** Makes calls, each second one a stream, and remembers what came of each. Never rejects for what a call comes to. */
export async function sendLoad(options: LoadOptions): Promise<readonly CallRecord[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: options.concurrency });
  const history: CallRecord[] = [];
  let next = 0;
  let answered = 0;
  async function callOneAfterAnother(): Promise<void> {
    while (next < options.count) {
      const number = next;
      next += 1;
      const target = options.targets[number % options.targets.length];
      if (target === undefined) {
        throw new Error("there is nobody to call");
      }
      const record = await call(agent, target, options.model, `${options.name}-${number}.`, number % 2 === 1);
      history.push(record);
      answered += record.outcome === "answered" ? 1 : 0;
      options.onCall?.(answered);
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, callOneAfterAnother));
  agent.destroy();
  return history;
}

/** The marker in a request's body, as the provider received it; undefined when it has none. */
export function markerOf(body: Buffer): string | undefined {
  return /"content":"(\S+-\d+\.)"/.exec(body.toString("utf8"))?.[1];
}

function call(
  agent: http.Agent,
  target: CallTarget,
  model: string,
  marker: string,
  stream: boolean,
): Promise<CallRecord> {
  return new Promise((resolve) => {
    let requestId = "";
    let status = 0;
    const settle = (outcome: CallRecord["outcome"]): void => resolve({ marker, requestId, outcome, status });
    const request = http.request(`${target.url}/v1/chat/completions`, {
      method: "POST",
      agent,
      headers: { "content-type": "application/json", authorization: `Bearer ${target.key}` },
    });
    request.on("error", () => settle("broken"));
    request.on("response", (response) => {
      requestId = String(response.headers["x-request-id"] ?? "");
      status = response.statusCode ?? 0;
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", () => settle("broken"));
      response.on("close", () => settle("broken"));
      response.on("end", () => {
        const whole = stream ? text.endsWith("data: [DONE]\n\n") : text.endsWith("}");
        settle(status !== 200 ? "refused" : whole ? "answered" : "broken");
      });
    });
    request.end(JSON.stringify({ model, stream, max_tokens: 10, messages: [{ role: "user", content: marker }] }));
  });
}
