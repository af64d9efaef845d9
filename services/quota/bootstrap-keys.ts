import { createCredential, createKeyId, digestCredential } from "./key-credential.ts";
import { defaultOrganizationId, type KeyStore, type NewKey } from "./store/store.ts";

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
      ? newKey(made.keyId, made.digest, "admin", "admin", options.nowMs)
      : newKey(createKeyId(), digestCredential(given), "admin of the environment", "given admin", options.nowMs);
  const { adminAdded, firstAdded } = await store.bootstrap({
    admin,
    given: given !== undefined,
    first: newKey(first.keyId, first.digest, "first", "virtual", options.nowMs),
  });
  return {
    adminKey: adminAdded && given === undefined ? made.secret : undefined,
    firstKey: firstAdded ? first.secret : undefined,
  };
}

function newKey(
  id: string,
  digest: Uint8Array,
  displayName: string,
  kind: "admin" | "given admin" | "virtual",
  createTimeMs: number,
): NewKey {
  const admin = kind !== "virtual";
  return {
    id,
    digest,
    displayName,
    // An admin key of no organisation sees everything.
    organizationId: admin ? "" : defaultOrganizationId,
    teamId: "",
    allowedModels: [],
    requestsPerMinute: undefined,
    tokensPerMinute: undefined,
    budgetNanosUsd: undefined,
    tags: {},
    admin,
    role: admin ? "owner" : undefined,
    userId: "",
    serviceAccount: false,
    logBodies: false,
    fromEnvironment: kind === "given admin",
    createTimeMs,
    expireTimeMs: undefined,
  };
}
