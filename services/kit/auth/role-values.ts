import { Role as RoleValue } from "#gen/penstock/admin/v1/role_pb.ts";
import type { Role } from "./actor.ts";

const values: Readonly<Record<Role, RoleValue>> = {
  owner: RoleValue.OWNER,
  admin: RoleValue.ADMIN,
  editor: RoleValue.EDITOR,
  viewer: RoleValue.VIEWER,
};

/** A role as messages write it; unspecified for none. */
export function roleValue(role: Role | undefined): RoleValue {
  return role === undefined ? RoleValue.UNSPECIFIED : values[role];
}

/** The role that a message names; undefined for none, and for one that this version does not know. */
export function roleOfValue(value: RoleValue): Role | undefined {
  switch (value) {
    case RoleValue.OWNER:
      return "owner";
    case RoleValue.ADMIN:
      return "admin";
    case RoleValue.EDITOR:
      return "editor";
    case RoleValue.VIEWER:
      return "viewer";
    default:
      return undefined;
  }
}
