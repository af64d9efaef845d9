import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { type AuthClient, GoogleAuth, JWT, type JWTInput } from "google-auth-library";
import { AuthorizeError } from "./authorize-error.ts";
import type { ExpiringToken } from "./token-cache.ts";

/** Where a credential of Google's comes from: the text or the file of a key; neither: the environment's default. */
export interface GoogleCredential {
  /** JSON text, mostly of a service account. */
  readonly json: string | undefined;
  readonly file: string | undefined;
}

const scope = "https://www.googleapis.com/auth/cloud-platform";
const fetchTimeoutMs = 10_000;
/** Assumed of credentials that do not say how long their tokens are good. */
const defaultLifeMs = 30 * 60_000;

/**
 * Creates what asks Google for access tokens. Nothing is read and nobody asked before the first call. Rejects with
 * AuthorizeError.
 */
export function createGoogleTokenSource(credential: GoogleCredential, now: () => number): () => Promise<ExpiringToken> {
  let client: AuthClient | undefined;

  async function fetchToken(): Promise<ExpiringToken> {
    client ??= await openClient(credential);
    const { token } = await client.getAccessToken();
    if (typeof token !== "string" || token === "") {
      throw new AuthorizeError("Google gave no access token.", { isRefused: true });
    }
    return { token, expiresAtMs: client.credentials.expiry_date ?? now() + defaultLifeMs };
  }

  return async () => {
    const timer = new AbortController();
    try {
      return await Promise.race([fetchToken(), tooLate(timer.signal)]);
    } catch (error) {
      throw authorizeError(error);
    } finally {
      timer.abort();
    }
  };
}

async function openClient({ json, file }: GoogleCredential): Promise<AuthClient> {
  const text = file === undefined ? json : await readFile(file, "utf8");
  if (text === undefined) {
    return await new GoogleAuth({ scopes: [scope] }).getClient();
  }
  const key = parseKey(text);
  const { client_email: email, private_key: privateKey } = key;
  if (key.type === "service_account" && email !== undefined && privateKey !== undefined) {
    return new JWT({ email, key: privateKey, scopes: [scope] });
  }
  return await new GoogleAuth({ scopes: [scope], credentials: key }).getClient();
}

function parseKey(text: string): JWTInput {
  try {
    // The library looks at what it is, and refuses what it does not know.
    return JSON.parse(text) as JWTInput;
  } catch {
    // The parser's own words would repeat a part of the key.
    throw new AuthorizeError("Google's credentials are not JSON.", { isRefused: true });
  }
}

async function tooLate(signal: AbortSignal): Promise<never> {
  await pause(fetchTimeoutMs, undefined, { signal, ref: false });
  throw new AuthorizeError("Google gave no access token in time.", { isRefused: false });
}

/** Only the words of the gateway's own are passed on: a library's may hold parts of a credential. */
function authorizeError(error: unknown): AuthorizeError {
  if (error instanceof AuthorizeError) {
    return error;
  }
  const status = statusOf(error);
  const isUnreached = status === undefined ? isOfNetwork(error) : status === 429 || status >= 500;
  return new AuthorizeError(
    isUnreached
      ? "Google could not be asked for an access token."
      : `Google gave no access token for these credentials${status === undefined ? "" : ` (status ${status})`}.`,
    { isRefused: !isUnreached, cause: error },
  );
}

function statusOf(error: unknown): number | undefined {
  const status: unknown = error instanceof Error && "status" in error ? error.status : undefined;
  return typeof status === "number" ? status : undefined;
}

/** Whether nobody answered. A file that is not there is no matter of the network. */
function isOfNetwork(error: unknown): boolean {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  return (
    typeof code === "string" && /^(?:E(?:CONN|HOST|NET|AI_|PIPE|TIMEDOUT)|ENOTFOUND|UND_ERR|TimeoutError)/.test(code)
  );
}
