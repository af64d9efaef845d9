/** Marks an iterator as a PromptIterator. */
export const prompt: unique symbol = Symbol("prompt");

/**
 * The iterator of a server stream that keeps the mesh's promises by itself: `return()` ends a pending `next()` at once,
 * an error is told once, each message is complete, and the call's context is not used. To a caller
 * in the same process it is handed over as it is, which saves two promises a message.
 */
export interface PromptIterator<T> extends AsyncIterator<T> {
  readonly [prompt]: true;
}

/** Whether an iterator says that it is prompt. */
export function isPrompt(iterator: AsyncIterator<unknown>): boolean {
  return prompt in iterator;
}
