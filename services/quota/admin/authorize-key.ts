import { type Actor, isAtLeast } from "#kit/auth/actor.ts";
import { keyFields, requireRole } from "#kit/auth/permissions.ts";
import type { Key } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { mapKey } from "./key-messages.ts";
import type { StoredKey } from "../store/store.ts";
import { requireGrant } from "./caller.ts";

/**
 * Throws PERMISSION_DENIED unless a caller may deal with a key: with one that calls models when it sees it; with an
 * admin key as an admin at least, whose own role and scope are not below those of the key. Whoever rotates an admin key
 * learns its secret.
 */
export function requireKeyPower(actor: Actor, key: Pick<StoredKey, "role" | "organizationId" | "teamId">): void {
  if (key.role !== undefined) {
    requireRole(actor, "admin", "an admin key");
    requireGrant(actor, key.role, key);
  }
}

/** Throws PERMISSION_DENIED unless a caller's role suffices for all fields in which two versions of a key differ. */
export function requireFieldRoles(
  actor: Actor,
  before: StoredKey,
  after: StoredKey,
  limitedTags: ReadonlySet<string>,
): void {
  if (isAtLeast(actor.role, "admin")) {
    return;
  }
  const [old, changed] = [mapKey(before, undefined), mapKey(after, undefined)];
  for (const [field, rule] of Object.entries(keyFields)) {
    if (rule === "set by the service") {
      continue;
    }
    // The table has exactly the names of the fields.
    const name = field as keyof typeof keyFields;
    if (rule === "tags") {
      if (differingTags(old, changed).some((tag) => limitedTags.has(tag))) {
        requireRole(actor, "admin", "a tag that a limit counts by");
      }
    } else if (textOf(old[name]) !== textOf(changed[name])) {
      requireRole(actor, rule, field);
    }
  }
}

function differingTags(a: Key, b: Key): readonly string[] {
  return [...new Set([...Object.keys(a.tags), ...Object.keys(b.tags)])].filter((tag) => a.tags[tag] !== b.tags[tag]);
}

function textOf(value: unknown): string | undefined {
  return JSON.stringify(value, (_name, each: unknown) => (typeof each === "bigint" ? `${each}n` : each));
}
