import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  type Client,
  Code,
  ConnectError,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  type ExecuteResponse,
  ExecuteResponseSchema,
  RouterService,
} from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";
import { createMesh, type OwnedMesh } from "./create-mesh.ts";
import { createMeshServer } from "./create-mesh-server.ts";
import { prompt, type PromptIterator } from "./prompt-stream.ts";

type Router = ServiceImpl<typeof RouterService>;

/** A handler whose every method can be replaced, so that each test says what its own does. */
function routerWith(methods: Partial<Router>): Router {
  const missing = (): never => {
    throw new ConnectError("not part of this test", Code.Unimplemented);
  };
  return {
    execute: missing,
    explain: missing,
    watchModels: missing,
    getModel: missing,
    recallAttempts: missing,
    ...methods,
  };
}

const answer = (text: string): ExecuteResponse =>
  create(ExecuteResponseSchema, { events: [{ event: { case: "body", value: new TextEncoder().encode(text) } }] });
const textOf = (response: ExecuteResponse): string => {
  const event = response.events[0]?.event;
  return event?.case === "body" ? new TextDecoder().decode(event.value) : "";
};

interface Connected {
  readonly client: Client<typeof RouterService>;
  close(): Promise<void>;
}

/** What a process that traces puts around each call. */
const passOn: Interceptor = (next) => (request) => next(request);

async function overLink(methods: Partial<Router>, interceptors: readonly Interceptor[]): Promise<Connected> {
  const serving: OwnedMesh = createMesh({ addresses: { resolve: () => undefined } });
  serving.serve(RouterService, routerWith(methods));
  const server = await createMeshServer({ host: "127.0.0.1", port: 0, served: serving.served, interceptors });
  const mesh = createMesh({ addresses: { resolve: () => server.url }, interceptors });
  return {
    client: mesh.client(RouterService),
    async close() {
      mesh.close();
      await server.close();
    },
  };
}

/** The ways in which a client reaches a service; every promise of the mesh holds in all. */
const ways: Readonly<Record<string, (methods: Partial<Router>) => Promise<Connected>>> = {
  async "in the same process"(methods) {
    const mesh = createMesh({ addresses: { resolve: () => undefined } });
    mesh.serve(RouterService, routerWith(methods));
    return { client: mesh.client(RouterService), close: async () => mesh.close() };
  },
  "in another process": (methods) => overLink(methods, []),
  "in another process, with interceptors on both sides": (methods) => overLink(methods, [passOn]),
};

/** A promise to be settled from outside. */
const deferred = () => Promise.withResolvers<void>();

for (const [way, connect] of Object.entries(ways)) {
  describe(`a service ${way}`, () => {
    const open: Connected[] = [];
    const clientOf = async (methods: Partial<Router>): Promise<Client<typeof RouterService>> => {
      const connected = await connect(methods);
      open.push(connected);
      return connected.client;
    };
    after(() => Promise.all(open.map((connected) => connected.close())));

    test("answers a unary call, with headers both ways", async () => {
      const client = await clientOf({
        explain(request, context) {
          context.responseHeader.set("x-answer", context.requestHeader.get("x-question") ?? "");
          return { targets: [{ provider: request.model }] };
        },
      });
      let header = "";
      const response = await client.explain(
        { model: "m" },
        {
          headers: { "x-question": "why" },
          onHeader: (headers) => {
            header = headers.get("x-answer") ?? "";
          },
        },
      );
      assert.equal(response.targets[0]?.provider, "m");
      assert.equal(response.targets[0]?.$typeName, "penstock.router.v1.ExplainedTarget");
      assert.equal(header, "why");
    });

    test("hands an error of the catalogue over with its detail", async () => {
      const client = await clientOf({
        explain() {
          throw gatewayError(ErrorReason.RATE_LIMITED, "slow down", {
            retryDelayMs: 1_500,
            metadata: { limit: "rpm" },
          });
        },
      });
      const error = await rejectionOf(client.explain({}));
      assert.equal(error.code, Code.ResourceExhausted);
      assert.equal(error.rawMessage, "slow down");
      const detail = errorDetailOf(error);
      assert.equal(detail.reason, ErrorReason.RATE_LIMITED);
      assert.deepEqual(detail.metadata, { limit: "rpm" });
      assert.equal(detail.retryDelay?.seconds, 1n);
    });

    test("hides what else a handler throws", async () => {
      const client = await clientOf({
        explain() {
          throw new Error("the password is x");
        },
        async *execute() {
          yield answer("a");
          throw new Error("the password is x");
        },
      });
      const unary = await rejectionOf(client.explain({}));
      assert.equal(unary.code, Code.Internal);
      assert.doesNotMatch(unary.message, /password/);
      const stream = client.execute({})[Symbol.asyncIterator]();
      await stream.next();
      const streamed = await rejectionOf(stream.next());
      assert.equal(streamed.code, Code.Internal);
      assert.doesNotMatch(streamed.message, /password/);
    });

    test("ends a unary call at its deadline, and tells the handler", async () => {
      const told = deferred();
      const client = await clientOf({
        explain(_request, context) {
          onAbort(context, told.resolve);
          return new Promise(() => undefined);
        },
      });
      assert.equal((await rejectionOf(client.explain({}, { timeoutMs: 50 }))).code, Code.DeadlineExceeded);
      await told.promise;
    });

    test("ends a unary call that its caller aborts, and tells the handler", async () => {
      const told = deferred();
      const begun = deferred();
      const client = await clientOf({
        explain(_request, context) {
          onAbort(context, told.resolve);
          begun.resolve();
          return new Promise(() => undefined);
        },
      });
      const controller = new AbortController();
      const call = rejectionOf(client.explain({}, { signal: controller.signal }));
      await begun.promise;
      controller.abort();
      assert.equal((await call).code, Code.Canceled);
      await told.promise;
    });

    test("streams messages in order and ends", async () => {
      const client = await clientOf({
        async *execute() {
          yield answer("a");
          yield answer("b");
        },
      });
      const texts: string[] = [];
      for await (const response of client.execute({})) {
        texts.push(textOf(response));
      }
      assert.deepEqual(texts, ["a", "b"]);
    });

    test("gives the messages that came before an error", async () => {
      const client = await clientOf({
        async *execute() {
          yield answer("a");
          throw gatewayError(ErrorReason.UPSTREAM_TRUNCATED, "cut");
        },
      });
      const stream = client.execute({})[Symbol.asyncIterator]();
      assert.equal(textOf((await stream.next()).value as ExecuteResponse), "a");
      assert.equal(errorDetailOf(await rejectionOf(stream.next())).reason, ErrorReason.UPSTREAM_TRUNCATED);
      assert.equal((await stream.next()).done, true);
    });

    test("reaches a generator through its signal when the caller leaves its loop early", async () => {
      const left = deferred();
      const client = await clientOf({
        async *execute(_request, context) {
          onAbort(context, left.resolve);
          for (;;) {
            yield answer("again");
          }
        },
      });
      for await (const response of client.execute({})) {
        assert.equal(textOf(response), "again");
        break;
      }
      await left.promise;
    });

    test("reaches an iterator's return when the caller leaves while a message is awaited", async () => {
      const left = deferred();
      const waiting = deferred();
      const client = await clientOf({
        execute: () => ({
          [Symbol.asyncIterator]() {
            let wake: (() => void) | undefined;
            return {
              next: () =>
                new Promise((resolve) => {
                  wake = () => resolve({ done: true, value: undefined });
                  waiting.resolve();
                }),
              return() {
                wake?.();
                left.resolve();
                return Promise.resolve({ done: true, value: undefined });
              },
            };
          },
        }),
      });
      const stream = client.execute({})[Symbol.asyncIterator]();
      const pending = stream.next();
      await waiting.promise;
      await stream.return?.();
      await left.promise;
      assert.equal((await pending).done, true);
    });

    test("aborts a stream whose signal or deadline ends it, and tells the handler", async () => {
      for (const end of ["signal", "deadline"] as const) {
        const told = deferred();
        const client = await clientOf({
          async *execute(_request, context) {
            yield answer("a");
            await new Promise<void>((resolve) => onAbort(context, resolve));
            told.resolve();
          },
        });
        const controller = new AbortController();
        const stream = client
          .execute({}, end === "signal" ? { signal: controller.signal } : { timeoutMs: 60 })
          [Symbol.asyncIterator]();
        await stream.next();
        const pending = rejectionOf(stream.next());
        controller.abort();
        assert.equal((await pending).code, end === "signal" ? Code.Canceled : Code.DeadlineExceeded);
        await told.promise;
      }
    });

    test("survives a caller that throws inside its loop", async () => {
      const left = deferred();
      const client = await clientOf({
        async *execute(_request, context) {
          onAbort(context, left.resolve);
          for (;;) {
            yield answer("again");
          }
        },
      });
      await assert.rejects(async () => {
        for await (const _ of client.execute({})) {
          throw new RangeError("mine");
        }
      }, RangeError);
      await left.promise;
    });
  });
}

test("a service that nothing serves fails each call with UNAVAILABLE", async () => {
  const client = createMesh({ addresses: { resolve: () => undefined } }).client(RouterService);
  assert.equal((await rejectionOf(client.explain({}))).code, Code.Unavailable);
  const stream = client.execute({})[Symbol.asyncIterator]();
  assert.equal((await rejectionOf(stream.next())).code, Code.Unavailable);
});

test("an instance that this process does not serve is looked for elsewhere", async () => {
  const asked: (string | undefined)[] = [];
  const mesh = createMesh({
    addresses: {
      resolve(_service, instance) {
        asked.push(instance);
        return undefined;
      },
    },
  });
  mesh.serve(RouterService, routerWith({ explain: () => ({}) }), ["here"]);
  await mesh.client(RouterService, "here").explain({});
  assert.equal((await rejectionOf(mesh.client(RouterService, "there").explain({}))).code, Code.Unavailable);
  assert.deepEqual(asked, ["there"]);
});

test("a stream that keeps the promises itself reaches a caller in the process as it is, unless the call has limits", async () => {
  const promptly: PromptIterator<ExecuteResponse> & AsyncIterable<ExecuteResponse> = {
    [prompt]: true,
    [Symbol.asyncIterator]: () => promptly,
    next: async () => ({ done: true, value: undefined }),
  };
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(RouterService, routerWith({ execute: () => promptly }));
  const client = mesh.client(RouterService);
  assert.equal(client.execute({})[Symbol.asyncIterator](), promptly);
  const limited = client.execute({}, { timeoutMs: 60_000 })[Symbol.asyncIterator]();
  assert.notEqual(limited, promptly);
  await limited.return?.();
});

function onAbort(context: HandlerContext, callback: () => void): void {
  if (context.signal.aborted) {
    callback();
  } else {
    context.signal.addEventListener("abort", () => callback(), { once: true });
  }
}

async function rejectionOf(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    return ConnectError.from(error);
  }
  throw new assert.AssertionError({ message: "the call did not fail" });
}
