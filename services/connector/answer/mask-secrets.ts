const patterns: readonly RegExp[] = [
  /\b(?:sk|pk|rk|gsk|xai|pplx|r8)[-_][A-Za-z0-9_-]{8,}/g,
  /\bAIza[A-Za-z0-9_-]{16,}/g,
  /\bA(?:KI|SI)A[A-Z0-9]{12,}/g,
  /\bya29\.[A-Za-z0-9._-]{8,}/g,
  /\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*/gi,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b/g,
];

/** Characters; what is cut off is masked before, so that no half of a secret stays at the end. */
const maxLength = 4_000;

/** A text without the given secrets, and without anything that looks like a credential or an address. */
export function maskSecrets(text: string, secrets: readonly string[]): string {
  let masked = text;
  for (const secret of secrets) {
    if (secret.length >= 4) {
      masked = masked.replaceAll(secret, "[masked]");
    }
  }
  for (const pattern of patterns) {
    masked = masked.replace(pattern, "[masked]");
  }
  return masked.slice(0, maxLength);
}
