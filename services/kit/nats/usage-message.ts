import type { JsMsg } from "@nats-io/jetstream";
import { journalIdHeader, journalSequenceHeader } from "./usage-subjects.ts";

/** A usage event as it arrives. */
export interface UsageMessage {
  /** The attempt's id; empty when the publisher gave none. */
  readonly id: string;
  /** The event in proto3 JSON. */
  readonly payload: Uint8Array;
  /** How often it was delivered, from 1. */
  readonly deliveries: number;
  /** The journal that keeps it and its number there; undefined when it does not say. */
  readonly journal: { readonly id: string; readonly sequence: bigint } | undefined;
  /** W3C trace context; empty when there is none. */
  readonly traceparent: string;
  readonly tracestate: string;
}

/** What became of a batch. What is in neither list is delivered again after a while. */
export interface UsageOutcome {
  /** In the ledger. */
  readonly confirmed: readonly UsageMessage[];
  /** Can never be put there; kept apart with the reason. */
  readonly poison: readonly { readonly message: UsageMessage; readonly reason: string }[];
}

/** Reads what a message carries. */
export function readUsageMessage(message: JsMsg): UsageMessage {
  const header = (name: string): string => message.headers?.get(name) ?? "";
  const id = header(journalIdHeader);
  const sequence = header(journalSequenceHeader);
  return {
    id: header("Nats-Msg-Id"),
    payload: message.data,
    deliveries: message.info.deliveryCount,
    journal: id !== "" && /^\d{1,20}$/.test(sequence) ? { id, sequence: BigInt(sequence) } : undefined,
    traceparent: header("traceparent"),
    tracestate: header("tracestate"),
  };
}
