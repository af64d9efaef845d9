/** What a caller of admin services may do, the most first: each role may do what those after it may. */
export const roles = ["owner", "admin", "editor", "viewer"] as const;
export type Role = (typeof roles)[number];

/** Who calls an admin service from outside. */
export interface Actor {
  /** The id of the admin key. */
  readonly keyId: string;
  /** The user whose key it is; empty when it belongs to none. */
  readonly userId: string;
  readonly role: Role;
  /** The one organisation that it may see; empty for all. */
  readonly organizationId: string;
  /** The one team that it may see; empty for all of the organisation. */
  readonly teamId: string;
}

/** The header field that carries an actor between services. The ingress takes it from nobody outside. */
const actorHeader = "x-penstock-actor";

/** The header field that says on whose behalf a call is made. */
export function actorHeaders(actor: Actor): Record<string, string> {
  return { [actorHeader]: Buffer.from(JSON.stringify(actor)).toString("base64url") };
}

/** On whose behalf a call is made; undefined for a call that a service of the mesh makes for itself. */
export function readActor(headers: Pick<Headers, "get">): Actor | undefined {
  const text = headers.get(actorHeader);
  // Only services of the mesh write this field.
  return text === null ? undefined : (JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as Actor);
}

/** Whether a role may do what another may. */
export function isAtLeast(role: Role, least: Role): boolean {
  return roles.indexOf(role) <= roles.indexOf(least);
}
