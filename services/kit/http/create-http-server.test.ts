import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { test } from "node:test";
import { createHttpServer } from "./create-http-server.ts";

test("a caller over HTTP/2 whose process dies ends its requests", async () => {
  const arrived = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const server = await createHttpServer({
    host: "127.0.0.1",
    port: 0,
    onRequest(_req, res) {
      res.on("close", () => left.resolve());
      arrived.resolve();
    },
  });
  try {
    const socket = net.connect(Number(new URL(server.url).port), "127.0.0.1");
    const session = http2.connect(server.url, { createConnection: () => socket });
    session.on("error", () => undefined);
    const stream = session.request({ ":path": "/", ":method": "POST" });
    stream.on("error", () => undefined);
    stream.end();
    await arrived.promise;
    // All that the kernel says for a process that is gone.
    socket.end();
    await left.promise;
    assert.equal(server.running, 0);
  } finally {
    await server.close();
  }
});
