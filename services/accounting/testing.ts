import { randomUUID, randomUUIDv7 } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type pg from "pg";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { AlertService } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import { Outcome, type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { type Actor, actorHeaders } from "#kit/auth/actor.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { createPool } from "#kit/postgres/create-pool.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { type AccountingModuleDeps, createAccountingModule } from "./module.ts";

/** Starts a ledger in a database of its own, as the program does, and gives its clients. */
export async function startTestLedger(settings: Partial<AccountingModuleDeps> = {}) {
  const postgres = await startTestPostgres();
  const databaseUrl = await postgres.createDatabase();
  const pool: pg.Pool = createPool({ url: databaseUrl, name: "accounting test" });
  const stops: (() => Promise<void>)[] = [];
  /** Starts one more process, as it were, on the same database. */
  const startReplica = async (more: Partial<AccountingModuleDeps> = {}) => {
    const mesh = createMesh({ addresses: { resolve: () => undefined } });
    const module = createAccountingModule({ mesh, databaseUrl, ...settings, ...more });
    await module.start();
    stops.push(() => module.stop());
    return {
      module,
      ledger: mesh.client(AccountingService),
      repair: mesh.client(RepairService),
      alerts: mesh.client(AlertService),
    };
  };
  const first = await startReplica();
  return {
    ...first,
    pool,
    startReplica,
    async close() {
      for (const stop of stops.toReversed()) {
        await stop();
      }
      await pool.end();
      await postgres.close();
    },
  };
}

/** The options of a call on behalf of somebody who sees one organisation, or one team of it. */
export function calledBy(scope: Partial<Actor>): { readonly headers: Record<string, string> } {
  const actor: Actor = { keyId: "admin", userId: "", role: "owner", organizationId: "", teamId: "", ...scope };
  return { headers: actorHeaders(actor) };
}

/** What an event of a test sets beside the usual. */
export type EventInit = Exclude<MessageInitShape<typeof UsageEventSchema>, UsageEvent>;

/** Makes an event that ended a request just now. */
export function newEvent(settings: EventInit = {}): UsageEvent {
  return create(UsageEventSchema, {
    attemptId: randomUUIDv7(),
    requestId: randomUUID(),
    keyId: "key",
    organizationId: "default",
    requestedModel: "gpt",
    provider: "openai",
    model: "gpt-4o",
    outcome: Outcome.SUCCEEDED,
    httpStatus: 200,
    usage: { uncachedInputTokens: 10n, outputTokens: 20n },
    priceSource: "catalogue",
    startTime: { seconds: BigInt(Math.floor(Date.now() / 1_000)) },
    final: true,
    ...settings,
  });
}
