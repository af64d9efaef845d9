import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { JsonObject } from "../codec.ts";

/** One recorded exchange, as far as the tests of the codecs read it. */
export interface Exchange {
  readonly id: string;
  readonly request: { readonly body?: JsonObject } | null;
  readonly response: {
    readonly status: number;
    readonly body?: JsonObject;
    readonly sse_text?: string;
    readonly ndjson_text?: string;
    readonly eventstream_base64?: string;
  };
  readonly derived: {
    readonly text?: string;
    readonly reasoning?: string;
    readonly tool_calls?: readonly { readonly name: string; readonly arguments: unknown }[];
    readonly finish?: string;
    readonly usage?: JsonObject;
    readonly tool_call_args_streamed_partially?: boolean;
  };
}

/** Recorded traffic of real providers lies beside a checkout that has it; it is not part of the project. */
const ROOT = new URL("../../../../shared/wire/exchanges/", import.meta.url);

/** The recordings of one provider and API, such as `anthropic/messages`; none where there are none. */
export function readExchanges(folder: string): Exchange[] {
  const directory = new URL(`${folder}/`, ROOT);
  if (!existsSync(directory)) {
    return [];
  }
  return readdirSync(directory).map((name) => {
    // The format is the recordings' own, and a wrong guess about it fails the test that uses it.
    const exchange = JSON.parse(readFileSync(new URL(name, directory), "utf8")) as Exchange;
    return { ...exchange, derived: exchange.derived ?? {} };
  });
}

/** The recordings of one scenario on one API of several; the id says which scenario and which step. */
export function readParallel(api: string): Exchange[] {
  const directory = new URL("_parallel/", ROOT);
  if (!existsSync(directory)) {
    return [];
  }
  return readdirSync(directory).flatMap((name) => {
    // As above.
    const scenario = JSON.parse(readFileSync(new URL(name, directory), "utf8")) as {
      readonly apis: Readonly<Record<string, readonly Omit<Exchange, "id">[]>>;
    };
    return (scenario.apis[api] ?? []).map((step, index) => ({ ...step, id: `${name} ${index + 1}` }));
  });
}
