import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Role } from "#gen/penstock/admin/v1/role_pb.ts";
import { count, duration, money, percent, type Scalar } from "#kit/config/scalars.ts";
import { UsageError } from "./usage-error.ts";

/** Collects an option that may be given several times. */
export function repeated(value: string, all: readonly string[] | undefined): readonly string[] {
  return [...(all ?? []), value];
}

/** An amount such as `$5`, in nano-US-dollars. Throws UsageError for others, as all of these do. */
export function readMoney(option: string, text: string): bigint {
  // A shell takes `$5` for a variable, so that `5` and `5usd` are what arrives.
  return readScalar(money(), option, text.startsWith("$") ? text : `$${text}`);
}

/** A number such as `600` or `2M`. */
export function readCount(option: string, text: string): bigint {
  return BigInt(readScalar(count(), option, text));
}

/** A share such as `80%`, as a whole number of percent. */
export function readPercent(option: string, text: string): number {
  return Math.round(readScalar(percent(), option, text) * 100);
}

/** A time span such as `24h`, in milliseconds. */
export function readDuration(option: string, text: string): number {
  return readScalar(duration(), option, text);
}

/** A time: one such as `2027-01-31`, or a span from now such as `30d`. */
export function readTimeOption(option: string, text: string, nowMs: number): Timestamp {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : nowMs + readDuration(option, text);
  if (!Number.isFinite(ms)) {
    throw new UsageError(`${option}: expected a time such as 2027-01-31 or 30d`);
  }
  return timestampFromMs(ms);
}

/** Tags written as name=value. */
export function readTagOptions(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 1) {
        throw new UsageError(`--tag: expected name=value, not ${text}`);
      }
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

const roles: ReadonlyMap<string, Role> = new Map([
  ["owner", Role.OWNER],
  ["admin", Role.ADMIN],
  ["editor", Role.EDITOR],
  ["viewer", Role.VIEWER],
]);

/** A role by its name. */
export function readRole(text: string): Role {
  const role = roles.get(text);
  if (role === undefined) {
    throw new UsageError(`there is no role ${text}; there are: ${[...roles.keys()].join(", ")}`);
  }
  return role;
}

/** The name of a role; empty for none. */
export function roleName(role: Role): string {
  return [...roles].find(([, each]) => each === role)?.[0] ?? "";
}

function readScalar<T>(type: Scalar<T>, option: string, text: string): T {
  const result = type.safeParse(text);
  if (!result.success) {
    throw new UsageError(`${option}: ${result.error.issues[0]?.message ?? "is not valid"}`);
  }
  return result.data;
}
