import { fromJsonString } from "@bufbuild/protobuf";
import { type UsageEvent, UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { UsageMessage, UsageOutcome } from "#kit/nats/usage-message.ts";
import { ingestEvents } from "./ingest.ts";
import type { LedgerStore } from "./store/store.ts";

/** What the handling of messages works with. */
export interface HandleUsageDeps {
  readonly store: LedgerStore;
  /** Hears how many events became dead letters in the database. */
  readonly onBuried?: ((count: number) => void) | undefined;
}

/**
 * Puts the events of messages into the ledger and resolves after they are committed. What is no usage event is poison
 * and a dead letter; what is one and cannot be stored is a dead letter, and confirmed. Rejects when the database cannot be asked.
 */
export async function handleUsageMessages(
  deps: HandleUsageDeps,
  messages: readonly UsageMessage[],
): Promise<UsageOutcome> {
  const confirmed: UsageMessage[] = [];
  const poison: { readonly message: UsageMessage; readonly reason: string }[] = [];
  const events: UsageEvent[] = [];
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (const message of messages) {
    try {
      // Fields of a newer version are not a reason to lose what is known.
      const text = decoder.decode(message.payload);
      events.push(fromJsonString(UsageEventSchema, text, { ignoreUnknownFields: true }));
      confirmed.push(message);
    } catch (error) {
      poison.push({ message, reason: error instanceof Error ? error.message : "is no usage event" });
    }
  }
  const result = await ingestEvents(deps.store, events);
  for (const { message, reason } of poison) {
    // Also in the table, so that one place lists all that is not in the ledger.
    await deps.store.bury(Buffer.from(message.payload).toString("utf8").replaceAll("\0", "\ufffd"), reason);
  }
  if (result.buried > 0) {
    deps.onBuried?.(result.buried);
  }
  return { confirmed, poison };
}
