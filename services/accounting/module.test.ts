import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { create, toJsonString } from "@bufbuild/protobuf";
import { AccountingService } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { Outcome, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { createMesh } from "#kit/mesh/create-mesh.ts";
import { createUsagePublisher, type OutgoingUsage } from "#kit/nats/create-usage-publisher.ts";
import { startTestNats } from "#kit/testing/nats.ts";
import { startTestPostgres } from "#kit/testing/postgres.ts";
import { createAccountingModule } from "./module.ts";

const stops: (() => Promise<void>)[] = [];
after(async () => {
  for (const stop of stops.toReversed()) {
    await stop();
  }
});

test("takes events from the bus, confirms what is committed, and lets poison pass", { timeout: 60_000 }, async () => {
  const postgres = await startTestPostgres();
  stops.push(() => postgres.close());
  const nats = await startTestNats();
  stops.push(() => nats.close());
  const mesh = createMesh({ addresses: { resolve: () => undefined } });
  let buried = 0;
  const module = createAccountingModule({
    mesh,
    databaseUrl: await postgres.createDatabase(),
    natsUrl: nats.url,
    onBuried: (count) => {
      buried += count;
    },
  });
  await module.start();
  stops.push(() => module.stop());
  const publisher = createUsagePublisher({ url: nats.url, name: "test" });
  stops.push(() => publisher.close());

  const journalId = randomUUID();
  const waiting = new Set([1n, 2n, 3n, 4n]);
  const confirmed = new Promise<void>((resolve) => {
    publisher.subscribeConfirmations(journalId, (sequences) => {
      for (const sequence of sequences) {
        waiting.delete(sequence);
      }
      if (waiting.size === 0) {
        resolve();
      }
    });
  });
  const event = create(UsageEventSchema, {
    attemptId: randomUUID(),
    requestId: randomUUID(),
    outcome: Outcome.SUCCEEDED,
    startTime: { seconds: 1_750_000_000n },
    costNanosUsd: 7n,
    final: true,
  });
  const json = toJsonString(UsageEventSchema, event);
  const unstorable = toJsonString(UsageEventSchema, { ...event, attemptId: "no uuid" });
  const newer = json.replace("{", '{"fieldOfANewerVersion": {"a": 1}, ');
  const payloads = [json, newer, unstorable, "no JSON"];
  await untilPublished(
    publisher,
    payloads.map((payload, index) => ({
      id: `${journalId} ${index}`,
      payload,
      journalId,
      journalSequence: BigInt(index + 1),
    })),
  );
  await confirmed;
  const ledger = mesh.client(AccountingService);
  assert.equal((await ledger.getRequest({ requestId: event.requestId })).attempts.length, 1);
  assert.equal((await ledger.listRequests({})).requests.length, 1);
  assert.equal(buried, 1);
});

async function untilPublished(
  publisher: ReturnType<typeof createUsagePublisher>,
  batch: readonly OutgoingUsage[],
): Promise<void> {
  for (;;) {
    try {
      await publisher.publish(batch);
      return;
    } catch {
      // The connection is made in the background; what was stored already is stored once.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
