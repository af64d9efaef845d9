import { randomInt } from "node:crypto";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

const defaultPageSize = 50;
const maxPageSize = 1_000;
const maxTextLength = 256;
const idLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
const idLength = 12;

/** Waits for the store. Throws UNAVAILABLE when it cannot be asked; errors of the catalogue pass. */
export async function stored<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ConnectError) {
      throw error;
    }
    throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the store cannot be asked", { cause: error });
  }
}

/** The error for a field with a value that it may not have. */
export function invalid(param: string, problem: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${param} ${problem}`, { metadata: { param } });
}

/** A text of at most 256 characters. Throws INVALID_ARGUMENT for others. */
export function readText(param: string, text: string): string {
  // Postgres keeps no NUL, and a lone surrogate is no text.
  if (text.length > maxTextLength || text.includes("\0") || !text.isWellFormed()) {
    throw invalid(param, `must be text of at most ${maxTextLength} characters`);
  }
  return text;
}

/** A text that is not empty. Throws INVALID_ARGUMENT for others. */
export function requireText(param: string, text: string): string {
  if (text === "") {
    throw invalid(param, "is required");
  }
  return readText(param, text);
}

/** The id of something to make: the one that is asked for, else a new one. Throws INVALID_ARGUMENT for what is no id. */
export function readNewId(param: string, id: string): string {
  if (id === "") {
    return Array.from({ length: idLength }, () => idLetters.charAt(randomInt(idLetters.length))).join("");
  }
  // `each` means any value in the limits of the configuration.
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id) || id === "each") {
    throw invalid(param, "must be of small letters, digits and hyphens, at most 63");
  }
  return id;
}

/** An amount that may not be negative. Throws INVALID_ARGUMENT for one that is. */
export function notNegative(param: string, value: bigint | undefined): bigint | undefined {
  if (value !== undefined && value < 0n) {
    throw invalid(param, "must not be negative");
  }
  return value;
}

/** A time in milliseconds since 1970. Throws INVALID_ARGUMENT for one before that or after 9999. */
export function readTime(param: string, time: Timestamp | undefined): number | undefined {
  if (time === undefined) {
    return undefined;
  }
  const ms = timestampMs(time);
  // What a Timestamp may hold after the epoch.
  if (!(ms >= 0 && ms <= 253_402_300_799_999)) {
    throw invalid(param, "is not a time between 1970 and 9999");
  }
  return Math.floor(ms);
}

/** How many to list; 50 when it is not said. Throws INVALID_ARGUMENT below 0 and above 1000. */
export function readPageSize(pageSize: number): number {
  if (pageSize < 0 || pageSize > maxPageSize) {
    throw invalid("page_size", `must be between 0 and ${maxPageSize}`);
  }
  return pageSize === 0 ? defaultPageSize : pageSize;
}

/** A page of what was found with one more than the page has, and the token of the next where there is one. */
export function pageOf<T>(
  found: readonly T[],
  pageSize: number,
  cursorOf: (last: T) => readonly (string | number)[],
): { readonly page: readonly T[]; readonly nextPageToken: string } {
  const page = found.slice(0, pageSize);
  const last = page.at(-1);
  return { page, nextPageToken: last === undefined || found.length <= pageSize ? "" : writePageToken(cursorOf(last)) };
}

function writePageToken(cursor: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(cursor)).toString("base64url");
}

/** The cursor of a token, whose JSON has this form; undefined for an empty token. Throws INVALID_ARGUMENT for others. */
export function readPageToken(token: string, form: RegExp): RegExpExecArray | undefined {
  if (token === "") {
    return undefined;
  }
  const match = form.exec(Buffer.from(token, "base64url").toString());
  if (match === null) {
    throw invalid("page_token", "is not one that this service gave");
  }
  return match;
}

/** The id after which a list by id goes on; empty for the start. */
export function readIdToken(token: string): string {
  return readPageToken(token, /^\["([^"\\]{1,256})"\]$/)?.[1] ?? "";
}
