// Texts without quotes, backslashes, control characters and surrogates are JSON as they are.
const plain = /^[ !#-[\]-\ud7ff\ue000-\uffff]*$/;

/** A text as a JSON string, as JSON.stringify writes it; several times cheaper for the plain ones that most are. */
export function quoteJson(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
