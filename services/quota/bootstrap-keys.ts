import { createCredential, createKeyId, digestCredential } from "./key-credential.ts";
import type { KeyStore, NewKey } from "./store/store.ts";

/** The credentials that were made at this start, to be printed once; they cannot be shown again. */
export interface BootstrapSecrets {
  /** The admin key; undefined when one exists or was given. */
  readonly adminKey: string | undefined;
  /** A virtual key without limits; undefined when keys exist. */
  readonly firstKey: string | undefined;
}

const leastLength = 16;

/**
 * Makes the keys without which nobody could begin: with no key at all, an admin key (the given one, else a new one) and
 * a virtual key named "first". A given admin key is valid after every start. Throws RangeError when it is shorter than
 * 16 characters.
 */
export async function ensureBootstrapKeys(
  store: KeyStore,
  options: { readonly adminKey?: string | undefined; readonly nowMs: number },
): Promise<BootstrapSecrets> {
  const given = options.adminKey;
  if (given !== undefined && given.length < leastLength) {
    throw new RangeError(`the admin key has fewer than ${leastLength} characters`);
  }
  const made = createCredential();
  const first = createCredential();
  const admin =
    given === undefined
      ? newKey(made.keyId, made.digest, "admin", true, options.nowMs)
      : newKey(createKeyId(), digestCredential(given), "admin of the environment", true, options.nowMs);
  const { adminAdded, firstAdded } = await store.bootstrap({
    admin,
    given: given !== undefined,
    first: newKey(first.keyId, first.digest, "first", false, options.nowMs),
  });
  return {
    adminKey: adminAdded && given === undefined ? made.secret : undefined,
    firstKey: firstAdded ? first.secret : undefined,
  };
}

function newKey(id: string, digest: Uint8Array, displayName: string, admin: boolean, createTimeMs: number): NewKey {
  return {
    id,
    digest,
    displayName,
    organizationId: "default",
    teamId: "",
    allowedModels: [],
    requestsPerMinute: undefined,
    tokensPerMinute: undefined,
    budgetNanosUsd: undefined,
    tags: {},
    admin,
    createTimeMs,
    expireTimeMs: undefined,
  };
}
