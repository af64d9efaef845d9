import { hash, randomInt } from "node:crypto";

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const idLength = 12;
const secretLength = 48;

/** A new credential; only its digest may be kept. */
export interface Credential {
  /** The public part, which is the key's id. */
  readonly keyId: string;
  /** The whole credential: `sk-pen-<key id>-<secret>`. */
  readonly secret: string;
  readonly digest: Uint8Array;
}

/** Makes a credential with 285 random bits beside its id, of a new key unless an id is given. */
export function createCredential(keyId = createKeyId()): Credential {
  const secret = `sk-pen-${keyId}-${randomText(secretLength)}`;
  return { keyId, secret, digest: digestCredential(secret) };
}

/** Makes the id of a key whose credential is not ours to choose. */
export function createKeyId(): string {
  return randomText(idLength);
}

/** The SHA-256 digest of a whole credential, 32 bytes. */
export function digestCredential(credential: string): Uint8Array {
  return new Uint8Array(hash("sha256", credential, "buffer"));
}

function randomText(length: number): string {
  let text = "";
  for (let index = 0; index < length; index += 1) {
    text += alphabet.charAt(randomInt(alphabet.length));
  }
  return text;
}
