import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../tools/find-program.ts";
import { waitUntil } from "../harness/wait-until.ts";
import type { BenchGateway } from "./bench-gateway.ts";
import { cores, type PinnedProcess, pinProcess, startPinned } from "./pinned-process.ts";
import { processTree } from "./process-cpu.ts";

/** Gateways that were started, and what stops them. */
export interface StartedGateways {
  readonly gateways: readonly BenchGateway[];
  stop(): Promise<void>;
}

/** Whether nginx is installed. */
export const nginxInstalled: boolean = findProgram("nginx") !== undefined;

const ready = /^url +(http:\/\/\S+)$/;

/** Starts the upstream, which shares its core with the load. */
export async function startUpstream(): Promise<{ readonly process: PinnedProcess; readonly gateway: BenchGateway }> {
  const process = await startScript("upstream", "upstream.ts", []);
  const gateway = plainGateway("direct", Number(new URL(process.ready).port), [process.pid]);
  return { process, gateway };
}

/** How many requests the upstream has answered. */
export async function countAnswered(upstream: BenchGateway): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${upstream.port}/answered`);
  return Number(await response.text());
}

/** Starts the proxy in Node that others are compared with. */
export async function startNodeProxy(upstreamUrl: string): Promise<StartedGateways> {
  const process = await startScript("the Node proxy", "node-proxy.ts", [upstreamUrl]);
  pinProcess(process.pid, cores.gateway);
  const port = Number(new URL(process.ready).port);
  return { gateways: [plainGateway("node", port, [process.pid])], stop: process.stop };
}

/** Starts nginx as a proxy: one worker, kept connections on both sides, nothing buffered or logged. */
export async function startNginx(upstreamUrl: string, directory: string): Promise<StartedGateways> {
  const port = await freePort();
  const file = join(directory, "nginx.conf");
  writeFileSync(file, nginxConfig(port, new URL(upstreamUrl).host, directory));
  const process = await startPinned({
    name: "nginx",
    command: join(findProgram("nginx") ?? "", "nginx"),
    arguments: ["-c", file, "-e", "stderr"],
  });
  await waitUntil(
    async () => (await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined))?.ok ?? false,
    () => "nginx to be ready",
  );
  const pids = processTree(process.pid);
  for (const pid of pids) {
    pinProcess(pid, cores.gateway);
  }
  return { gateways: [plainGateway("nginx", port, pids)], stop: process.stop };
}

function plainGateway(name: string, port: number, pids: readonly number[]): BenchGateway {
  return { name, port, key: undefined, pids, otherPids: () => [], settled: async () => undefined };
}

async function startScript(name: string, file: string, args: readonly string[]): Promise<PinnedProcess> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  return await startPinned({ name, command: process.execPath, arguments: [script, ...args], readyLine: ready });
}

function nginxConfig(port: number, upstream: string, directory: string): string {
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/nginx-body;
  proxy_temp_path ${directory}/nginx-proxy;
  keepalive_requests 1000000000;
  upstream provider { server ${upstream}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /ready { return 200; }
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
