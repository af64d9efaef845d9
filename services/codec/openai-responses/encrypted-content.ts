// A reasoning item has one opaque field, `encrypted_content`, and clients return it unchanged. What other providers sign
// or encrypt travels in it too, marked with what it is, and is put back when the conversation returns. A value without
// a mark is the signature over the item's own thought, which is also what OpenAI and compatible providers mean by it.

const MARKS = [
  ["redacted", "penstock-redacted:"],
  ["next", "penstock-next-part:"],
  ["previous", "penstock-previous-part:"],
] as const;

/** What the opaque field of a reasoning item is: a thought's signature, an encrypted thought, or a part's signature. */
export interface EncryptedContent {
  readonly kind: "signature" | "redacted" | "next" | "previous";
  readonly value: string;
}

/** Marks a thought that another provider encrypted and that stands alone. */
export function markRedacted(data: string): string {
  return MARKS[0][1] + data;
}

/** Marks the signature of the tool call that follows the item: it is known when the call begins. */
export function markForNextPart(signature: string): string {
  return MARKS[1][1] + signature;
}

/** Marks the signature of the text before the item: it comes when the text has ended. */
export function markForPreviousPart(signature: string): string {
  return MARKS[2][1] + signature;
}

/** Says what the opaque field of a reasoning item is. */
export function readEncryptedContent(text: string): EncryptedContent {
  for (const [kind, mark] of MARKS) {
    if (text.startsWith(mark)) {
      return { kind, value: text.slice(mark.length) };
    }
  }
  return { kind: "signature", value: text };
}
