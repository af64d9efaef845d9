// Gemini signs text and tool calls, and wants the signature back on the very same part; Anthropic signs thoughts only,
// and its clients return nothing but thoughts unchanged. So the signature of another part travels to such a client as
// a thought beside that part, marked with where it belongs, and is put back when the conversation returns.

const ON_NEXT_PART = "penstock-next-part:";
const ON_PREVIOUS_PART = "penstock-previous-part:";

/** Where a signature belongs. */
export interface PlacedSignature {
  readonly place: "thought" | "next" | "previous";
  readonly signature: string;
}

/** Marks the signature of the part that follows the thought: a tool call, whose signature is known when it begins. */
export function markForNextPart(signature: string): string {
  return ON_NEXT_PART + signature;
}

/** Marks the signature of the part before the thought: text, whose signature comes when it has ended. */
export function markForPreviousPart(signature: string): string {
  return ON_PREVIOUS_PART + signature;
}

/** Says where the signature of a thought belongs. */
export function placeSignature(signature: string): PlacedSignature {
  if (signature.startsWith(ON_NEXT_PART)) {
    return { place: "next", signature: signature.slice(ON_NEXT_PART.length) };
  }
  if (signature.startsWith(ON_PREVIOUS_PART)) {
    return { place: "previous", signature: signature.slice(ON_PREVIOUS_PART.length) };
  }
  return { place: "thought", signature };
}
