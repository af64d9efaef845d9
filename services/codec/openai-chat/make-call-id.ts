/**
 * The id of a tool call whose provider gave none. Made from the answer's id, so that it is unique over a conversation
 * and not only within one answer; at most 40 characters, which is what OpenAI accepts.
 */
export function makeCallId(responseId: string, candidateIndex: number, callIndex: number): string {
  const answer = responseId.replaceAll(/[^a-zA-Z0-9]/g, "").slice(-24);
  return `call_${answer}_${candidateIndex === 0 ? "" : `${candidateIndex}_`}${callIndex}`;
}
