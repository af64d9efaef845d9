import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type ServiceImpl } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { LinkService } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import {
  type ExecuteRequest,
  type ExecuteResponse,
  ExecuteResponseSchema,
  ExplainRequestSchema,
  RouterService,
} from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { toBinary } from "@bufbuild/protobuf";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import { createMesh } from "../create-mesh.ts";
import { createMeshServer } from "../create-mesh-server.ts";
import { createRemoteClient } from "../create-remote-client.ts";
import { createRemotePeer } from "../create-remote-peer.ts";
import { openRawLink } from "./raw-link.ts";
import type { HttpServer } from "#kit/http/create-http-server.ts";

type Router = ServiceImpl<typeof RouterService>;

const closers: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const close of closers) {
    await close();
  }
});

async function serve(methods: Partial<Router>, heartbeatMs?: number): Promise<HttpServer> {
  const missing = (): never => {
    throw new ConnectError("not part of this test", Code.Unimplemented);
  };
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  mesh.serve(RouterService, {
    execute: missing,
    explain: missing,
    watchModels: missing,
    getModel: missing,
    recallAttempts: missing,
    ...methods,
  });
  const server = await createMeshServer({
    host: "127.0.0.1",
    port: 0,
    served: mesh.served,
    ...(heartbeatMs === undefined ? {} : { heartbeatMs }),
  });
  closers.push(() => server.close());
  return server;
}

function clientOf(url: string, heartbeatMs?: number): Client<typeof RouterService> {
  const peer = createRemotePeer(url, [], heartbeatMs === undefined ? {} : { heartbeatMs });
  closers.push(() => peer.close());
  return createRemoteClient(RouterService, peer);
}

const bodyOf = (body: Uint8Array): ExecuteResponse =>
  create(ExecuteResponseSchema, { events: [{ event: { case: "body", value: body } }] });

function isUnreachable(error: unknown): boolean {
  assert.equal(ConnectError.from(error).code, Code.Unavailable);
  assert.equal(errorDetailOf(error).reason, ErrorReason.SERVICE_UNAVAILABLE);
  return true;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("all calls share one stream of HTTP/2", async () => {
  const server = await serve({ explain: ({ model }) => ({ targets: [{ provider: model }] }) });
  const client = clientOf(server.url);
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => client.explain({ model: `m${index}` })));
  assert.deepEqual(
    answers.map((answer) => answer.targets[0]?.provider),
    Array.from({ length: 200 }, (_, index) => `m${index}`),
  );
  assert.equal(server.running, 1);
});

test("the service is still there for plain Connect, and so is the link itself", async () => {
  const server = await serve({
    explain: ({ model }) => ({ targets: [{ provider: model }] }),
    async *execute() {
      yield bodyOf(Buffer.from("a"));
    },
  });
  const transport = createConnectTransport({ httpVersion: "2", baseUrl: server.url, useBinaryFormat: true });
  const plain = createClient(RouterService, transport);
  assert.equal((await plain.explain({ model: "m" })).targets[0]?.provider, "m");
  let messages = 0;
  for await (const response of plain.execute({})) {
    messages += response.events.length;
  }
  assert.equal(messages, 1);

  const request = toBinary(ExplainRequestSchema, create(ExplainRequestSchema, { model: "m" }));
  async function* requests() {
    yield {
      frames: [
        {
          callId: 1,
          content: { case: "open" as const, value: { procedure: "penstock.router.v1.RouterService/Explain" } },
        },
        { callId: 1, content: { case: "message" as const, value: request } },
      ],
    };
  }
  const kinds: (string | undefined)[] = [];
  for await (const response of createClient(LinkService, transport).link(requests())) {
    kinds.push(...response.frames.map((frame) => frame.content.case));
  }
  assert.deepEqual(kinds, ["message", "end"]);
});

test("large bodies cross whole both ways, and small calls overtake them", async () => {
  const order: string[] = [];
  const server = await serve({
    explain: () => ({}),
    async *execute(request: ExecuteRequest) {
      yield bodyOf(request.body);
    },
  });
  const client = clientOf(server.url);
  const body = Buffer.alloc(30 * 1024 * 1024, "x");
  body.write("end", body.length - 3);
  const large = (async () => {
    for await (const { events } of client.execute({ body })) {
      const event = events[0]?.event;
      assert.ok(event?.case === "body" && Buffer.compare(event.value, body) === 0);
    }
    order.push("large");
  })();
  await client.explain({}, { timeoutMs: 20_000 });
  order.push("small");
  await large;
  assert.deepEqual(order, ["small", "large"]);
});

test("messages that are too large are refused on both sides, and the link goes on", async () => {
  const server = await serve({
    explain: ({ model }) => ({ targets: [{ provider: model === "large" ? "x".repeat(41 * 1024 * 1024) : model }] }),
  });
  const client = clientOf(server.url);
  const isTooLarge = (error: unknown): boolean => ConnectError.from(error).code === Code.ResourceExhausted;
  await assert.rejects(client.explain({ model: "x".repeat(41 * 1024 * 1024) }), isTooLarge);
  await assert.rejects(client.explain({ model: "large" }, { timeoutMs: 20_000 }), isTooLarge);
  assert.equal((await client.explain({ model: "m" })).targets[0]?.provider, "m");
});

test("a stream that nobody reads is made no further than its credit, and goes on when it is read", async () => {
  let made = 0;
  const server = await serve({
    explain: () => ({}),
    async *execute() {
      for (; made < 3_000; made += 1) {
        yield bodyOf(Buffer.alloc(1_000));
      }
    },
  });
  const client = clientOf(server.url);
  const stream = client.execute({})[Symbol.asyncIterator]();
  await stream.next();
  for (let calls = 0; calls < 50; calls += 1) {
    await client.explain({});
  }
  assert.ok(made > 300 && made < 600, `${made} messages were made`);
  let read = 1;
  while ((await stream.next()).done !== true) {
    read += 1;
  }
  assert.equal(read, 3_000);
});

test("ten thousand calls that are aborted together reach their handlers, and the link goes on", async () => {
  let begun = 0;
  let told = 0;
  const allBegun = Promise.withResolvers<void>();
  const allTold = Promise.withResolvers<void>();
  const count = 10_000;
  const server = await serve({
    explain: (_request, context) => {
      begun += 1;
      context.signal.addEventListener("abort", () => {
        told += 1;
        if (told === count) {
          allTold.resolve();
        }
      });
      if (begun === count) {
        allBegun.resolve();
      }
      return new Promise(() => undefined);
    },
    getModel: () => ({}),
  });
  const client = clientOf(server.url);
  const controllers = Array.from({ length: count }, () => new AbortController());
  const calls = controllers.map(({ signal }) =>
    client.explain({}, { signal, timeoutMs: 60_000 }).then(
      () => assert.fail("a call was answered"),
      (error: unknown) => assert.equal(ConnectError.from(error).code, Code.Canceled),
    ),
  );
  await allBegun.promise;
  for (const controller of controllers) {
    controller.abort();
  }
  await Promise.all(calls);
  await allTold.promise;
  await client.getModel({});
});

test("calls beyond what one link carries are refused, and those that run go on", async () => {
  const gate = Promise.withResolvers<void>();
  const server = await serve({ explain: () => gate.promise.then(() => ({})) });
  const client = clientOf(server.url);
  const running = Array.from({ length: 16_384 }, () => client.explain({}, { timeoutMs: 60_000 }));
  await assert.rejects(client.explain({}), (error) => ConnectError.from(error).code === Code.ResourceExhausted);
  gate.resolve();
  await Promise.all(running);
});

test("calls on a link that breaks have failed, their handlers are told, and the next call opens another", async () => {
  const told = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const first = await serve({
    async *execute(_request, context) {
      context.signal.addEventListener("abort", () => told.resolve());
      yield bodyOf(Buffer.from("a"));
      begun.resolve();
      await told.promise;
    },
  });
  const { port } = new URL(first.url);
  const client = clientOf(first.url);
  const stream = client.execute({})[Symbol.asyncIterator]();
  await stream.next();
  const pending = stream.next();
  await begun.promise;
  await first.close();
  await assert.rejects(pending, isUnreachable);
  assert.equal((await stream.next()).done, true);
  await told.promise;
  await assert.rejects(client.explain({}), isUnreachable);

  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  const missing = (): never => assert.fail("not part of this test");
  mesh.serve(RouterService, {
    execute: missing,
    explain: () => ({}),
    watchModels: missing,
    getModel: missing,
    recallAttempts: missing,
  });
  const second = await createMeshServer({ host: "127.0.0.1", port: Number(port), served: mesh.served });
  closers.push(() => second.close());
  await client.explain({});
});

test("a server that stops lets calls end, takes those that were on their way, and sends the next ones elsewhere", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const server = await serve({
    explain: () => {
      begun.resolve();
      return gate.promise.then(() => ({}));
    },
    getModel: () => ({}),
  });
  const client = clientOf(server.url);
  const running = client.explain({});
  await begun.promise;
  server.stopListening();
  // Sent before the caller can have heard of it.
  const onItsWay = client.getModel({});
  let idle = false;
  const whenIdle = server.idle(AbortSignal.timeout(20_000)).then(() => {
    idle = true;
  });
  await onItsWay;
  await turn();
  // The link is known to drain by now, and nobody listens for another.
  await assert.rejects(client.getModel({}), isUnreachable);
  assert.equal(idle, false);
  gate.resolve();
  await running;
  await whenIdle;
  assert.equal(server.running, 0);
});

test("a server that stops says so on the link itself, for callers behind a proxy", async () => {
  const server = await serve({ explain: () => ({}) });
  const link = openRawLink(server.url);
  closers.push(() => link.close());
  const begun = once(link.stream, "response");
  await begun;
  server.stopListening();
  await once(link.stream, "data");
  assert.deepEqual(
    link.received.map(({ callId, content }) => [callId, content.case]),
    [[0, "drain"]],
  );
  link.stream.end();
  await server.idle(AbortSignal.timeout(20_000));
  assert.equal(server.running, 0);
});

test("a server that hangs is noticed, also while it connects", async () => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on a host and a port.
  const { port } = server.address() as AddressInfo;
  const sockets: { destroy(): void }[] = [];
  server.on("session", (session) => sockets.push(session));
  // Takes the stream and answers nothing.
  server.on("stream", (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 }));
  const client = clientOf(`http://127.0.0.1:${port}`, 20);
  await assert.rejects(client.explain({}, { timeoutMs: 60_000 }), isUnreachable);
  server.close();
  sockets.forEach((socket) => socket.destroy());
});

test("two sides that have nothing to say stay connected", async () => {
  const server = await serve({ explain: () => ({}), getModel: () => new Promise(() => undefined) }, 15);
  const client = clientOf(server.url, 20);
  // Ten times as long as it takes to give the other side up.
  await assert.rejects(
    client.getModel({}, { timeoutMs: 800 }),
    (error) => ConnectError.from(error).code === Code.DeadlineExceeded,
  );
  await client.explain({});
  assert.equal(server.running, 1);
});
