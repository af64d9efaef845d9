import { dirname, join } from "node:path";
import { type GatewayProcess, startGatewayProcess } from "./gateway-process.ts";
import type { Gateway } from "./start-gateway.ts";

/** More processes of a running mesh, beside those that it has. */
export interface Replicas {
  /** The second process of quota. */
  readonly quota: GatewayProcess;
  /** All ingresses: that of the mesh, which asks its own quota, and two that ask the second. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Starts a second process of quota and two more ingresses of a mesh. Rejects with the output of what failed to start. */
export async function startReplicas(gateway: Gateway): Promise<Replicas> {
  const started: GatewayProcess[] = [];
  const start = async (
    name: string,
    service: string,
    listens: "public" | "mesh",
    peers: Readonly<Record<string, string>>,
  ): Promise<GatewayProcess> => {
    const process = await startGatewayProcess({
      name,
      listens,
      env: { PENSTOCK_ADMIN_KEY: gateway.adminKey },
      arguments: [
        service,
        "--config",
        gateway.configFile,
        "--database",
        gateway.databaseUrl,
        "--directory",
        join(dirname(gateway.configFile), name),
        ...(gateway.nats === undefined ? [] : ["--bus", gateway.nats.url]),
        ...Object.entries(peers).flatMap(([peer, url]) => ["--peer", `${peer}=${url}`]),
      ],
    });
    started.push(process);
    return process;
  };
  const meshUrl = (service: string): string => gateway.processOf(service).meshUrl;
  const stop = async (): Promise<void> => {
    for (const process of started.toReversed()) {
      await process.kill("SIGKILL");
    }
  };
  try {
    const accounting = meshUrl("accounting");
    const quota = await start("quota2", "quota", "mesh", { accounting });
    const peers = { accounting, cache: meshUrl("cache"), router: meshUrl("router"), quota: quota.meshUrl };
    const second = await start("ingress2", "ingress", "public", peers);
    const third = await start("ingress3", "ingress", "public", peers);
    return { quota, urls: [gateway.url, second.url, third.url], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
