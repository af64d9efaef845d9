import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { CachePolicy } from "../pipeline/gateway-call.ts";

/** Reads a header by its name. */
export type HeaderReader = (name: string) => string | undefined;

const cachePolicies: ReadonlySet<string> = new Set(["no-store", "no-cache", "only-if-cached"]);
const maxTags = 16;
const noTags: Readonly<Record<string, string>> = {};

/** The request's tags joined with its key's, which win. Throws for tags that are too many, too long or malformed. */
export function readTags(
  header: HeaderReader,
  keyTags: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const given = header("x-penstock-tags");
  if (given === undefined || given === "") {
    return keyTags;
  }
  const tags: Record<string, string> = Object.create(null);
  for (const pair of given.split(",")) {
    const match = /^\s*([A-Za-z0-9_.-]{1,64})=([^,=\p{C}]{0,128}?)\s*$/u.exec(pair);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw badHeader("x-penstock-tags", "it must be a list such as feature=search,env=prod");
    }
    tags[match[1]] = match[2];
  }
  if (Object.keys(tags).length > maxTags) {
    throw badHeader("x-penstock-tags", `it must not have more than ${maxTags} tags`);
  }
  return { ...noTags, ...tags, ...keyTags };
}

/** How the caller wants the cache to be used. Throws for an unknown word. */
export function readCachePolicy(header: HeaderReader): CachePolicy {
  const given = header("x-penstock-cache");
  if (given === undefined) {
    return "use";
  }
  if (!cachePolicies.has(given)) {
    throw badHeader("x-penstock-cache", "it must be no-store, no-cache or only-if-cached");
  }
  // One of the words above.
  return given as CachePolicy;
}

/** How long the caller wants to wait, in milliseconds. Throws for anything but a positive number of them. */
export function readTimeoutMs(header: HeaderReader): number | undefined {
  const given = header("x-penstock-timeout-ms");
  if (given === undefined) {
    return undefined;
  }
  if (!/^[1-9]\d{0,8}$/.test(given)) {
    throw badHeader("x-penstock-timeout-ms", "it must be a whole number of milliseconds");
  }
  return Number(given);
}

/** The header fields of a dialect that are part of a request: all others stay here. */
const dialectHeaders: ReadonlyMap<Dialect, readonly string[]> = new Map([
  [Dialect.ANTHROPIC_MESSAGES, ["anthropic-beta"]],
  [Dialect.OPENAI_CHAT, ["openai-beta"]],
  [Dialect.OPENAI_RESPONSES, ["openai-beta"]],
]);
const noHeaders: Record<string, string> = {};
const maxHeaderLength = 1_024;

/** The header fields that belong to a request of this dialect. Throws for one that is too long. */
export function readDialectHeaders(header: HeaderReader, dialect: Dialect): Record<string, string> {
  let found: Record<string, string> | undefined;
  for (const name of dialectHeaders.get(dialect) ?? []) {
    const value = header(name);
    if (value === undefined || value === "") {
      continue;
    }
    if (value.length > maxHeaderLength) {
      throw badHeader(name, `it must not be longer than ${maxHeaderLength} characters`);
    }
    found ??= {};
    found[name] = value;
  }
  return found ?? noHeaders;
}

function badHeader(name: string, problem: string) {
  return gatewayError(ErrorReason.INVALID_REQUEST, `The header ${name} is not valid: ${problem}.`, {
    metadata: { param: name },
  });
}
