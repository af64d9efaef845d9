import { setImmediate as nextTurn } from "node:timers/promises";
import type { CountableChat } from "#codec/count-tokens/list-texts.ts";

/** The tokenizer takes time that grows with the square of a run of one character, so it never gets more at once. */
const pieceCharacters = 512;
/** After so many characters others get their turn. */
const turnCharacters = 32_768;
/** What follows so many characters is taken to have as many tokens for each as what came before. */
const countedCharacters = 1_000_000;

/**
 * Estimates the tokens of a conversation for a model whose tokenizer nobody but its provider has: as OpenAI's newest one
 * cuts it. Stops early when the signal aborts.
 */
export async function estimateTokens(chat: CountableChat, signal: AbortSignal): Promise<number> {
  // Tens of megabytes, which only those processes need that count.
  const { countTokens } = await import("gpt-tokenizer/encoding/o200k_base");
  const plainText = { disallowedSpecial: new Set<string>() };
  let characters = 0;
  let tokens = 0;
  let all = 0;
  for (const text of chat.texts) {
    all += text.length;
    for (let at = 0; at < text.length && characters < countedCharacters; at += pieceCharacters) {
      const piece = text.slice(at, at + pieceCharacters);
      tokens += countTokens(piece, plainText);
      const before = Math.floor(characters / turnCharacters);
      characters += piece.length;
      if (Math.floor(characters / turnCharacters) > before) {
        await nextTurn();
        if (signal.aborted) {
          return 0;
        }
      }
    }
  }
  return Math.ceil(characters === 0 ? 0 : (tokens * all) / characters) + chat.otherTokens;
}
