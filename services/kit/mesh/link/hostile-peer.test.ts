import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type FrameSchema, LinkResponseSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { ExplainRequestSchema, RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { HttpServer } from "#kit/http/create-http-server.ts";
import { createMesh } from "../create-mesh.ts";
import { createMeshServer } from "../create-mesh-server.ts";
import { createRemoteClient } from "../create-remote-client.ts";
import { createRemotePeer } from "../create-remote-peer.ts";
import { openRawLink, rawEnvelope, type RawLink } from "./raw-link.ts";

type FrameInit = MessageInitShape<typeof FrameSchema>;

const procedure = "penstock.router.v1.RouterService/Explain";
const open = (callId: number, name = procedure): FrameInit => ({
  callId,
  content: { case: "open", value: { procedure: name } },
});
const message = (callId: number, value: Uint8Array): FrameInit => ({ callId, content: { case: "message", value } });
const part = (callId: number, value: Uint8Array): FrameInit => ({ callId, content: { case: "part", value } });
const request = toBinary(ExplainRequestSchema, create(ExplainRequestSchema, { model: "m" }));
const protocolError = 1;
/** Nothing here is noticed by pings. */
const hour = 3_600_000;

describe("a server of links", () => {
  let server: HttpServer | undefined;
  const links: RawLink[] = [];
  let waiting = Promise.withResolvers<void>();
  let left = Promise.withResolvers<void>();
  before(async () => {
    const mesh = createMesh({ addresses: { resolve: () => undefined } });
    const missing = (): never => {
      throw new ConnectError("not part of this test", Code.Unimplemented);
    };
    mesh.serve(RouterService, {
      execute: missing,
      watchModels: missing,
      recallAttempts: missing,
      getModel(_request, context) {
        waiting.resolve();
        context.signal.addEventListener("abort", () => left.resolve());
        return new Promise(() => undefined);
      },
      explain: ({ model }) => ({ targets: [{ provider: model }] }),
    });
    server = await createMeshServer({ host: "127.0.0.1", port: 0, served: mesh.served, heartbeatMs: hour });
  });
  after(async () => {
    links.forEach((link) => link.close());
    await server?.close();
  });
  const raw = (): RawLink => {
    const link = openRawLink(server?.url ?? "");
    links.push(link);
    return link;
  };
  const stillServes = async (): Promise<void> => {
    const peer = createRemotePeer(server?.url ?? "", []);
    const answer = await createRemoteClient(RouterService, peer).explain({ model: "m" });
    assert.equal(answer.targets[0]?.provider, "m");
    peer.close();
  };

  const wrong: Readonly<Record<string, (link: RawLink) => void>> = {
    "bytes that are no frames": ({ stream }) => void stream.write(rawEnvelope(Buffer.from("GET / HTTP/1.1"))),
    "an envelope that is too large": ({ stream }) => void stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])),
    "a compressed envelope": ({ stream }) => void stream.write(rawEnvelope(Buffer.from([1, 2, 3]), 1)),
    "a call that is opened twice": (link) => link.send(open(1), open(1)),
    "a number that was used before": (link) => link.send(open(2), message(2, request), open(1)),
    "a message of a call that was not opened": (link) => link.send(message(7, request)),
    "a call with number 0": (link) => link.send(open(0)),
    "a second request": (link) =>
      link.send(open(1, "penstock.router.v1.RouterService/GetModel"), message(1, request), message(1, request)),
    "what only servers send": (link) => link.send({ callId: 0, content: { case: "drain", value: {} } }),
    "more credit than there is": (link) =>
      link.send(open(1, "penstock.router.v1.RouterService/GetModel"), {
        callId: 1,
        content: { case: "credit", value: { bytes: 0xffff_ffff } },
      }),
  };
  for (const [name, send] of Object.entries(wrong)) {
    test(`cuts off ${name}, and serves others on`, async () => {
      const link = raw();
      send(link);
      assert.equal(await link.closed, protocolError);
      await stillServes();
    });
  }

  test("refuses a method that is not there, and what is no request of its type, and serves the link on", async () => {
    const link = raw();
    link.send(open(1, "penstock.router.v1.RouterService/Nothing"), message(1, request));
    link.send(open(2), message(2, Buffer.from([0x0a, 0xff])));
    link.send(open(3), part(3, request.subarray(0, 1)), message(3, request.subarray(1)));
    link.stream.end();
    await link.closed;
    const ends = link.received.flatMap(({ callId, content }) =>
      content.case === "end" ? [[callId, content.value.code]] : [],
    );
    assert.deepEqual(ends, [
      [1, Code.Unimplemented],
      [2, Code.Internal],
      [3, 0],
    ]);
  });

  test("refuses a request that is too large without keeping it", async () => {
    const link = raw();
    link.send(open(1));
    const ended = (): boolean => link.received.some(({ content }) => content.case === "end");
    for (let count = 0; count < 700 && !ended(); count += 1) {
      link.send(part(1, Buffer.alloc(64 * 1024)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    link.stream.end();
    await link.closed;
    const end = link.received.findLast(({ content }) => content.case === "end");
    assert.ok(end?.content.case === "end");
    assert.equal(end.content.value.code, Code.ResourceExhausted);
  });

  test("ignores frames of calls that have ended, and kinds that it does not know", async () => {
    const link = raw();
    link.send(open(1), message(1, request));
    link.send(
      { callId: 1, content: { case: "cancel", value: {} } },
      { callId: 1, content: { case: "credit", value: { bytes: 5 } } },
      { callId: 1, $unknown: [{ no: 42, wireType: 2, data: new Uint8Array([1, 1]) }] },
    );
    link.send(open(2), message(2, request));
    link.stream.end();
    await link.closed;
    assert.deepEqual(
      link.received.map(({ callId, content }) => [callId, content.case]),
      [1, 2].flatMap((id) => [
        [id, "message"],
        [id, "end"],
      ]),
    );
  });

  test("notices at once that a caller has died", async () => {
    const link = raw();
    waiting = Promise.withResolvers();
    left = Promise.withResolvers();
    link.send(open(1, "penstock.router.v1.RouterService/GetModel"), message(1, request));
    await waiting.promise;
    link.close();
    await left.promise;
  });

  test("lets go of a caller that pings and never reads", async () => {
    const link = raw();
    link.stream.pause();
    const ping: FrameInit = { content: { case: "ping", value: {} } };
    const pings = frames(...Array.from({ length: 100_000 }, () => ping));
    let gone = false;
    void link.closed.then(() => {
      gone = true;
    });
    // A hundred megabytes at the most, of which each is answered by as much.
    for (let count = 0; count < 250 && !gone; count += 1) {
      link.stream.write(pings);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await link.closed;
    await stillServes();
  });
});

test("a caller fails its calls when the server sends what is no frame, and opens another link", async () => {
  const answers: ((stream: ServerHttp2Stream) => void)[] = [
    (stream) => stream.write(rawEnvelope(Buffer.from("nonsense"))),
    (stream) => stream.write(frames({ callId: 9, content: { case: "end", value: {} } })),
    (stream) => stream.write(frames({ callId: 1, content: { case: "cancel", value: {} } })),
    (stream) => stream.write(frames(message(1, Buffer.alloc(0)), message(1, Buffer.alloc(0)))),
    (stream) => stream.end(rawEnvelope(Buffer.from("{}"), 2)),
    (stream) => stream.close(),
    (stream) => stream.session?.destroy(),
  ];
  let links = 0;
  const server = await serveByHand((stream) => answers[links++]?.(stream));
  const peer = createRemotePeer(server.url, []);
  const client = createRemoteClient(RouterService, peer);
  for (const _ of answers) {
    await assert.rejects(client.explain({}, { timeoutMs: 20_000 }), (error) => {
      assert.equal(ConnectError.from(error).code, Code.Unavailable);
      return true;
    });
  }
  assert.equal(links, answers.length);
  peer.close();
  server.close();
});

test("a caller that is sent more than it gave credit for reads what came, and then that the stream broke", async () => {
  const server = await serveByHand((stream) => {
    for (let count = 0; count < 9; count += 1) {
      stream.write(frames(message(1, Buffer.alloc(60_000))));
    }
  });
  const peer = createRemotePeer(server.url, []);
  const stream = createRemoteClient(RouterService, peer).execute({})[Symbol.asyncIterator]();
  await server.linkClosed;
  const first = await stream.next().catch((error: unknown) => ConnectError.from(error).code);
  // What came is no message of the type; either way the caller is told, and the end comes after it.
  assert.ok(typeof first === "number");
  assert.equal((await stream.next()).done, true);
  peer.close();
  server.close();
});

interface ServerByHand {
  readonly url: string;
  /** Resolves when the first link is gone. */
  readonly linkClosed: Promise<void>;
  close(): void;
}

/** Takes links and gives each to the callback once something came on it. */
async function serveByHand(onLink: (stream: ServerHttp2Stream) => void): Promise<ServerByHand> {
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  const linkClosed = Promise.withResolvers<void>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream: ServerHttp2Stream) => {
    // How a link ends is looked at from the caller's side.
    stream.on("error", () => undefined);
    stream.on("close", () => linkClosed.resolve());
    stream.respond({ ":status": 200, "content-type": "application/connect+proto" });
    stream.once("data", () => onLink(stream));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on a host and a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    linkClosed: linkClosed.promise,
    close() {
      server.close();
      sessions.forEach((session) => session.destroy());
    },
  };
}

function frames(...init: FrameInit[]): Buffer {
  return rawEnvelope(toBinary(LinkResponseSchema, create(LinkResponseSchema, { frames: init })));
}
