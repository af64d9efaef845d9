import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** A way to a server that can be made to hang. */
export interface TcpProxy {
  readonly port: number;
  /** From now on connections are accepted and kept, and nothing passes: what is sent is neither read nor answered. */
  hang(): void;
  /** Everything passes again, that which was sent in the meantime too. */
  resume(): void;
  close(): Promise<void>;
}

/** Starts a proxy on loopback in front of a port of loopback; a function when the port may become another one. */
export async function startTcpProxy(targetPort: number | (() => number)): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let hanging = false;
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer({ pauseOnConnect: true }, (incoming) => {
    const outgoing = connect({ host: "127.0.0.1", port: typeof targetPort === "number" ? targetPort : targetPort() });
    track(incoming);
    track(outgoing);
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      from.on("data", (chunk) => {
        // Those who talk to a database wait for its answers: what is under way stays small.
        to.write(chunk);
      });
      from.on("close", () => to.destroy());
      from.on("error", () => to.destroy());
    }
    if (hanging) {
      incoming.pause();
      outgoing.pause();
    } else {
      incoming.resume();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    hang() {
      hanging = true;
      for (const socket of sockets) {
        socket.pause();
      }
    },
    resume() {
      hanging = false;
      for (const socket of sockets) {
        socket.resume();
      }
    },
    async close() {
      server.close();
      for (const socket of sockets) {
        socket.destroy();
      }
      await once(server, "close");
    },
  };
}
