import type pg from "pg";
import { OwnedObjectService } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import type { Mesh } from "#kit/mesh/mesh.ts";
import { migrate } from "#kit/postgres/migrate.ts";
import { type Loop, startLoop } from "#kit/modules/start-loop.ts";
import { createOwnedService } from "./owned-service.ts";
import { createPostgresOwnedStore } from "./owned-store.ts";

const cleanIntervalMs = 10 * 60_000;
const mostCleaned = 10_000;

/** Migrates the table of owned things, serves it, and forgets what has expired. Rejects when the database does. */
export async function startOwned(deps: {
  readonly pool: pg.Pool;
  readonly mesh: Mesh;
  readonly onError: (error: unknown) => void;
}): Promise<Loop> {
  await migrate(deps.pool, { service: "owned", directory: new URL("./migrations/", import.meta.url) });
  const store = createPostgresOwnedStore({ pool: deps.pool });
  deps.mesh.serve(OwnedObjectService, createOwnedService({ store, wallClock: Date.now }));
  return startLoop(() => store.deleteExpired(mostCleaned), { intervalMs: cleanIntervalMs, onError: deps.onError });
}
