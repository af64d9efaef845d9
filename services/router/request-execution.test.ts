import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Client, ConnectError } from "@connectrpc/connect";
import {
  type ConnectorService,
  type ExecuteRequest as ConnectorRequest,
  type ExecuteResponse as ConnectorResponse,
  ExecuteResponseSchema,
} from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { AttemptOutcome, ExecuteRequestSchema, type RouterEvent } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason, ProviderErrorClass, ProviderErrorSchema } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";
import { modelsConfig, pricesConfig } from "./config.ts";
import { RequestExecution } from "./request-execution.ts";
import { buildRoutingTable } from "./targets.ts";

type Script = (request: ConnectorRequest) => AsyncIterable<ConnectorResponse>;

const message = (...events: NonNullable<Parameters<typeof create<typeof ExecuteResponseSchema>>[1]>["events"][]) =>
  create(ExecuteResponseSchema, { events: events.flat().filter((event) => event !== undefined) });
const whole = message([
  { event: { case: "head", value: { contentType: "application/json" } } },
  { event: { case: "body", value: new Uint8Array([1]) } },
  { event: { case: "end", value: { usage: { uncachedInputTokens: 1_000_000n }, complete: true } } },
]);
const head = message([{ event: { case: "head", value: { contentType: "text/event-stream" } } }]);

async function* answers(...responses: ConnectorResponse[]): AsyncGenerator<ConnectorResponse> {
  yield* responses;
}
// oxlint-disable-next-line require-yield -- a stream that fails before its first message
async function* fails(errorClass: ProviderErrorClass, mayHaveBilled = false): AsyncGenerator<ConnectorResponse> {
  throw failure(errorClass, mayHaveBilled);
}
const failure = (errorClass: ProviderErrorClass, mayHaveBilled = false) =>
  gatewayError(ErrorReason.UPSTREAM_FAILED, "failed", {
    providerError: create(ProviderErrorSchema, { errorClass, mayHaveBilled, httpStatus: 500 }),
  });
function silence(onLeave: () => void): AsyncIterable<ConnectorResponse> {
  return {
    [Symbol.asyncIterator]() {
      let wake: (() => void) | undefined;
      return {
        next: () =>
          new Promise((resolve) => {
            wake = () => resolve({ done: true, value: undefined });
          }),
        return() {
          onLeave();
          wake?.();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

interface Played {
  readonly events: readonly RouterEvent["event"][];
  readonly error: ConnectError | undefined;
  readonly targets: readonly string[];
}

function execution(scripts: Readonly<Record<string, Script>>, more: { attempts?: number; totalMs?: number } = {}) {
  const targets: string[] = [];
  const table = buildRoutingTable(
    modelsConfig.parse({
      m: {
        route: [{ target: "a/x" }],
        fallback: Object.keys(scripts).includes("b") ? ["n"] : [],
        retry: { attempts: more.attempts ?? 3 },
        timeout: { total: `${more.totalMs ?? 60_000}ms` },
      },
      n: { route: [{ target: "b/x" }] },
    }),
    pricesConfig.parse({
      overrides: { "a/x": { input: "$1/M", output: "$1/M" }, "b/x": { input: "$2/M", output: "$1/M" } },
    }),
    [
      { name: "a", kind: "echo" },
      { name: "b", kind: "echo" },
    ],
  );
  const model = table.find("m");
  assert.ok(model);
  let id = 0;
  const run = new RequestExecution(create(ExecuteRequestSchema, { model: "m" }), model, model.groups.flat(), {
    // Only execute is called.
    connectorFor: (provider) =>
      ({
        execute(request: ConnectorRequest) {
          targets.push(provider);
          return scripts[provider]?.(request) ?? answers();
        },
      }) as unknown as Client<typeof ConnectorService>,
    newAttemptId: () => `attempt-${id++}`,
    now: () => 0,
    monotonicNow: () => performance.now(),
    random: () => 0,
    onLeft: () => undefined,
    onFailure: () => undefined,
  });
  return { run, targets };
}

async function play(...args: Parameters<typeof execution>): Promise<Played> {
  const { run, targets } = execution(...args);
  const events: RouterEvent["event"][] = [];
  try {
    for await (const response of run) {
      events.push(...response.events.map((event) => event.event));
    }
    return { events, error: undefined, targets };
  } catch (error) {
    return { events, error: ConnectError.from(error), targets };
  }
}
const cases = (played: Played) => played.events.map((event) => event.case);
const finished = (played: Played) =>
  played.events.flatMap((event) => (event.case === "attemptFinished" ? [event.value] : []));

test("announces an attempt, passes the answer on and prices it", async () => {
  const played = await play({ a: () => answers(whole) });
  assert.deepEqual(cases(played), ["attemptStarted", "head", "body", "attemptFinished"]);
  assert.equal(finished(played)[0]?.costNanosUsd, 1_000_000_000n);
  assert.equal(finished(played)[0]?.outcome, AttemptOutcome.SUCCEEDED);
});

for (const [name, script] of Object.entries({
  "answers 429": () => fails(ProviderErrorClass.RATE_LIMITED),
  "fails with 500": () => fails(ProviderErrorClass.SERVER, true),
  "times out": () => fails(ProviderErrorClass.TIMEOUT, true),
  "breaks before content": () => fails(ProviderErrorClass.DISCONNECTED, true),
  "ends without a word": () => answers(),
} satisfies Record<string, Script>)) {
  test(`fails over when the first target ${name}, and reports both attempts`, async () => {
    const played = await play({ a: script, b: () => answers(whole) });
    assert.equal(played.error, undefined);
    assert.deepEqual(played.targets, ["a", "b"]);
    assert.deepEqual(cases(played), [
      "attemptStarted",
      "attemptFinished",
      "attemptStarted",
      "head",
      "body",
      "attemptFinished",
    ]);
    assert.deepEqual(
      finished(played).map((attempt) => [attempt.outcome, attempt.costNanosUsd]),
      [
        [AttemptOutcome.FAILED, 0n],
        [AttemptOutcome.SUCCEEDED, 2_000_000_000n],
      ],
    );
  });
}

test("never changes targets after the answer began", async () => {
  async function* cut() {
    yield head;
    throw failure(ProviderErrorClass.TRUNCATED, true);
  }
  const played = await play({ a: cut, b: () => answers(whole) });
  assert.deepEqual(played.targets, ["a"]);
  assert.equal(finished(played)[0]?.outcome, AttemptOutcome.TRUNCATED);
  assert.ok(played.error);
});

test("gives up at once where the request is at fault", async () => {
  const played = await play({ a: () => fails(ProviderErrorClass.INVALID_REQUEST), b: () => answers(whole) });
  assert.deepEqual(played.targets, ["a"]);
  assert.ok(played.error);
});

test("does not count targets that cannot do what is asked, and tells what became of those that can", async () => {
  const unable = () => fails(ProviderErrorClass.UNSUPPORTED);
  const other = await play({ a: unable, b: () => answers(whole) }, { attempts: 1 });
  assert.deepEqual(other.targets, ["a", "b"]);
  assert.equal(other.error, undefined);
  const failed = await play({ a: () => fails(ProviderErrorClass.SERVER, true), b: unable });
  assert.deepEqual(failed.targets, ["a", "b"]);
  assert.ok(failed.error);
  assert.equal(errorDetailOf(failed.error).providerError?.errorClass, ProviderErrorClass.SERVER);
  const busy = await play({ a: () => fails(ProviderErrorClass.OVERLOADED), b: unable }, { attempts: 2 });
  assert.deepEqual(busy.targets, ["a", "b", "a"]);
  const nobody = await play({ a: unable, b: unable }, { attempts: 1 });
  assert.ok(nobody.error);
  assert.equal(errorDetailOf(nobody.error).providerError?.errorClass, ProviderErrorClass.UNSUPPORTED);
});

test("repeats the only target while it cannot have billed, within the attempt budget", async () => {
  const played = await play({ a: () => fails(ProviderErrorClass.OVERLOADED) }, { attempts: 3 });
  assert.deepEqual(played.targets, ["a", "a", "a"]);
  assert.equal(finished(played).length, 3);
  assert.ok(played.error);
});

test("tells its caller to wait rather than keep it while the only target asks for a long rest", async () => {
  // oxlint-disable-next-line require-yield -- a stream that fails before its first message
  async function* resting(): AsyncGenerator<ConnectorResponse> {
    throw gatewayError(ErrorReason.UPSTREAM_RATE_LIMITED, "slow down", {
      providerError: create(ProviderErrorSchema, {
        errorClass: ProviderErrorClass.RATE_LIMITED,
        retryDelay: { seconds: 30n },
      }),
    });
  }
  const played = await play({ a: resting });
  assert.deepEqual(played.targets, ["a"]);
  assert.equal(errorDetailOf(played.error).reason, ErrorReason.UPSTREAM_RATE_LIMITED);
});

test("ends at its deadline while a target is silent, and leaves the target", async () => {
  let left = false;
  const played = await play(
    {
      a: () =>
        silence(() => {
          left = true;
        }),
      b: () => answers(whole),
    },
    { totalMs: 40 },
  );
  assert.equal(left, true);
  assert.deepEqual(played.targets, ["a"]);
  assert.equal(errorDetailOf(played.error).reason, ErrorReason.UPSTREAM_TIMEOUT);
});

test("leaves the target at once when its caller leaves, also while an event is awaited", async () => {
  let left = false;
  const { run } = execution({
    a: () =>
      silence(() => {
        left = true;
      }),
  });
  await run.next();
  const pending = run.next();
  await run.return();
  assert.equal(left, true);
  assert.equal((await pending).done, true);
});
