import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { RouterService } from "#gen/penstock/router/v1/router_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf } from "../errors/gateway-error.ts";
import { createRemoteClient } from "./create-remote-client.ts";
import { createRemotePeer } from "./create-remote-peer.ts";

test("a peer that dies in the middle of a call is a service that cannot be reached, not a caller who left", async () => {
  const server = createServer((request) => request.stream.session?.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on a host and a port.
  const { port } = server.address() as AddressInfo;
  const peer = createRemotePeer(`http://127.0.0.1:${port}`, []);
  const client = createRemoteClient(RouterService, peer);
  const readAll = async (): Promise<void> => {
    for await (const response of client.execute({})) {
      assert.fail(`a dead peer answered ${JSON.stringify(response)}`);
    }
  };
  const isUnreachable = (error: unknown): boolean => {
    assert.equal(ConnectError.from(error).code, Code.Unavailable);
    assert.equal(errorDetailOf(error).reason, ErrorReason.SERVICE_UNAVAILABLE);
    assert.doesNotMatch(ConnectError.from(error).rawMessage, /127\.0\.0\.1|http\/2/);
    return true;
  };
  await assert.rejects(client.getModel({}), isUnreachable);
  await assert.rejects(readAll(), isUnreachable);
  server.close();
  await once(server, "close");
  await assert.rejects(client.getModel({}), isUnreachable);
  await assert.rejects(readAll(), isUnreachable);
  peer.close();
});

test("a caller who aborts is told that it was canceled", async () => {
  const server = createServer(() => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // It listens on a host and a port.
  const { port } = server.address() as AddressInfo;
  const peer = createRemotePeer(`http://127.0.0.1:${port}`, []);
  const controller = new AbortController();
  const answer = createRemoteClient(RouterService, peer).getModel({}, { signal: controller.signal });
  await once(server, "stream");
  controller.abort();
  await assert.rejects(answer, (error) => ConnectError.from(error).code === Code.Canceled);
  peer.close();
  server.close();
  await once(server, "close");
});
