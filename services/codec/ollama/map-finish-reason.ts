import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";

/**
 * Maps Ollama's `done_reason`, which is `stop` for calls too; older servers give none with `done`. A word that is not
 * known counts as STOP.
 */
export function mapDoneReason(word: string, hasCalls: boolean): FinishReason {
  if (word === "length") {
    return FinishReason.LENGTH;
  }
  return hasCalls ? FinishReason.TOOL_CALLS : FinishReason.STOP;
}

/** Maps a finish to Ollama's word. */
export function toDoneReason(finishReason: FinishReason): string {
  return finishReason === FinishReason.LENGTH ? "length" : "stop";
}
