/** A request could not be given its credential. Its message may reach an operator, and has no secret in it. */
export class AuthorizeError extends Error {
  /** Whether the credential was refused, rather than nobody reached who could say. */
  readonly isRefused: boolean;
  constructor(message: string, options: { readonly isRefused: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "AuthorizeError";
    this.isRefused = options.isRefused;
  }
}
