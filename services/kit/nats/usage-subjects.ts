/** The stream of usage events. */
export const usageStream = "PENSTOCK_USAGE";

/** The subject on which usage events travel, in proto3 JSON. */
export const usageSubject = "penstock.usage.v1";

/** The stream of events that no consumer can take, kept for people to look at. */
export const deadStream = "PENSTOCK_USAGE_DEAD";

/** The subject of that stream. */
export const deadSubject = "penstock.usage.dead";

/** Where the ingress that owns a journal hears which of its records the ledger has. */
export function confirmationSubject(journalId: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(journalId)) {
    throw new RangeError("a journal's id is letters, digits, - and _");
  }
  return `penstock.usage.confirmed.${journalId}`;
}

/** Headers of usage events. */
export const journalIdHeader = "journal-id";
/** The record's number in that journal. */
export const journalSequenceHeader = "journal-sequence";
/** Why an event is among the dead. */
export const reasonHeader = "penstock-reason";

/** Writes the numbers of confirmed records. */
export function encodeConfirmation(sequences: readonly bigint[]): string {
  return sequences.join(",");
}

/** Reads them; undefined when the text is something else. */
export function decodeConfirmation(text: string): readonly bigint[] | undefined {
  return /^\d{1,20}(,\d{1,20})*$/.test(text) ? text.split(",").map(BigInt) : undefined;
}
