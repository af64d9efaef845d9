const BYTES_PER_TOKEN = 4;

/**
 * Estimates the output tokens of a stream that is watched rather than read: a delta holds at least one, and its bytes
 * beyond those that every delta has are text. Never 0 once there was content.
 */
export function countDeltaTokens(seen: {
  readonly deltas: number;
  readonly deltaBytes: number;
  /** The bytes of a delta without its text. */
  readonly overheadBytes: number;
  readonly contentSeen: boolean;
}): number {
  const textBytes = seen.deltaBytes - seen.deltas * seen.overheadBytes;
  return Math.max(seen.deltas, Math.floor(textBytes / BYTES_PER_TOKEN), seen.contentSeen ? 1 : 0);
}
