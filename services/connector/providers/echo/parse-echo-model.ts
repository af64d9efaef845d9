/** How the echo provider is to behave. */
export type EchoBehaviour =
  | { readonly kind: "answer"; readonly delayMs: number }
  | { readonly kind: "fail"; readonly status: number }
  | { readonly kind: "stall" }
  | { readonly kind: "cut"; readonly afterWords: number };

/**
 * Reads what a model of the echo provider is asked to do: `echo` answers at once, `slow` with 50 ms between words,
 * `slow-<ms>` with that delay, `fail-<status>` answers with an error, `stall` never answers, `cut` closes before the
 * first word and `cut-<n>` after n words. Undefined for any other name.
 */
export function parseEchoModel(model: string): EchoBehaviour | undefined {
  const match = /^(echo|slow|fail|stall|cut)(?:-(\d{1,5}))?$/.exec(model);
  const number = match?.[2] === undefined ? undefined : Number(match[2]);
  switch (match?.[1]) {
    case "echo":
      return number === undefined ? { kind: "answer", delayMs: 0 } : undefined;
    case "slow":
      return { kind: "answer", delayMs: number ?? 50 };
    case "fail":
      return number !== undefined && number >= 400 && number < 600 ? { kind: "fail", status: number } : undefined;
    case "stall":
      return number === undefined ? { kind: "stall" } : undefined;
    case "cut":
      return { kind: "cut", afterWords: number ?? 0 };
    default:
      return undefined;
  }
}
