const MADE_ID = /^ocall_[0-9]+_[0-9]+$|^ocall_at_[0-9]+$/;

/**
 * The id of a call that came without one: made of the time of the answer, which is given to the nanosecond, and the
 * call's place in it, so that it is unique over a conversation and the same however often the answer is read.
 */
export function makeToolCallId(createdAt: string, callIndex: number): string {
  return `ocall_${createdAt.replaceAll(/\D/g, "").slice(0, 24) || "0"}_${callIndex}`;
}

/** The id of a call in a conversation that came without ids: its place among all calls. */
export function placeToolCallId(callCount: number): string {
  return `ocall_at_${callCount}`;
}

/** True for an id made here: Ollama did not send it, so it is not sent to Ollama either. */
export function isMadeToolCallId(id: string): boolean {
  return MADE_ID.test(id);
}
