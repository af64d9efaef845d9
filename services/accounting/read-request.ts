import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { Dimension, type RequestFilter } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import type { Actor } from "#kit/auth/actor.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import {
  type LedgerFilter,
  type RequestCursor,
  type UsageDimension,
  type UsageQuery,
  wholeLedger,
} from "./store/store.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const defaultRangeMs = 30 * dayMs;
const maxRangeMs = 366 * dayMs;
const defaultPageSize = 50;
const maxPageSize = 1_000;

/** What a question about sums has, in whichever request it comes. */
export interface UsageRequest {
  readonly filter?: RequestFilter | undefined;
  readonly groupBy: readonly Dimension[];
  readonly tagName: string;
  readonly startTime?: Timestamp | undefined;
  readonly endTime?: Timestamp | undefined;
}

/**
 * Reads a question about sums on somebody's behalf. Throws INVALID_ARGUMENT, and PERMISSION_DENIED when it asks for what
 * the actor may not see.
 */
export function readUsageQuery(req: UsageRequest, actor: Actor | undefined, nowMs: number): UsageQuery {
  const groupBy = req.groupBy.map(readDimension);
  if (new Set(groupBy).size < groupBy.length) {
    throw invalid("group_by", "names a dimension twice");
  }
  const filter = readFilter(req.filter, actor);
  const tagName = readText("tag_name", req.tagName);
  if (groupBy.includes("tag") !== (tagName !== "")) {
    throw invalid("tag_name", "is required to group by tag, and only then");
  }
  if (tagName !== "" && filter.tagName !== "" && tagName !== filter.tagName) {
    throw invalid("filter.tag_name", "must be the tag that is grouped by: sums are kept for one tag at a time");
  }
  const endMs = readTime("end_time", req.endTime) ?? nowMs;
  const startMs = readTime("start_time", req.startTime) ?? endMs - defaultRangeMs;
  if (startMs >= endMs || endMs - startMs > maxRangeMs) {
    throw invalid("start_time", "must be before end_time, and by no more than 366 days");
  }
  return {
    startTimeMs: Math.floor(startMs / hourMs) * hourMs,
    endTimeMs: Math.ceil(endMs / hourMs) * hourMs,
    groupBy,
    filter,
    tagName,
  };
}

/** Reads a filter and narrows it to what the actor may see; without an actor, a service of the mesh asks. */
export function readFilter(filter: RequestFilter | undefined, actor: Actor | undefined): LedgerFilter {
  const read =
    filter === undefined
      ? wholeLedger
      : {
          organizationId: readText("filter.organization_id", filter.organizationId),
          teamId: readText("filter.team_id", filter.teamId),
          keyId: readText("filter.key_id", filter.keyId),
          userId: readText("filter.user_id", filter.userId),
          provider: readText("filter.provider", filter.provider),
          model: readText("filter.model", filter.model),
          requestedModel: readText("filter.requested_model", filter.requestedModel),
          outcome: filter.outcome === Outcome.UNSPECIFIED ? undefined : filter.outcome,
          tagName: readText("filter.tag_name", filter.tagName),
          tagValue: readText("filter.tag_value", filter.tagValue),
        };
  if (read.tagName === "" && read.tagValue !== "") {
    throw invalid("filter.tag_name", "is required with tag_value");
  }
  return {
    ...read,
    organizationId: narrow("organisation", read.organizationId, actor?.organizationId ?? ""),
    teamId: narrow("team", read.teamId, actor?.teamId ?? ""),
  };
}

/** Whether an actor may see an event. */
export function maySee(actor: Actor | undefined, event: UsageEvent): boolean {
  return (
    actor === undefined ||
    ((actor.organizationId === "" || actor.organizationId === event.organizationId) &&
      (actor.teamId === "" || actor.teamId === event.teamId))
  );
}

function narrow(what: string, asked: string, allowed: string): string {
  if (allowed !== "" && asked !== "" && asked !== allowed) {
    throw gatewayError(ErrorReason.PERMISSION_DENIED, `This admin key may not see that ${what}.`);
  }
  return allowed === "" ? asked : allowed;
}

/** How many of a list to return. */
export function readPageSize(pageSize: number): number {
  if (pageSize < 0 || pageSize > maxPageSize) {
    throw invalid("page_size", `must be between 0 and ${maxPageSize}`);
  }
  return pageSize === 0 ? defaultPageSize : pageSize;
}

/** A text that Postgres can compare with. */
export function readText(param: string, value: string): string {
  if (value.includes("\0") || !value.isWellFormed()) {
    throw invalid(param, "is not text");
  }
  return value;
}

/** A time in milliseconds since 1970. */
export function readTime(param: string, time: Timestamp | undefined): number | undefined {
  if (time === undefined) {
    return undefined;
  }
  const ms = timestampMs(time);
  if (!(ms >= 0 && ms < 253_402_300_800_000)) {
    throw invalid(param, "is not a time between 1970 and 9999");
  }
  return ms;
}

/** Where the page after an event begins. */
export function cursorOf(event: UsageEvent): RequestCursor {
  const startTimeUs = (event.startTime?.seconds ?? 0n) * 1_000_000n + BigInt(event.startTime?.nanos ?? 0) / 1_000n;
  return { startTimeUs, attemptId: event.attemptId };
}

/** Writes a cursor for callers, who keep it as it is. */
export function writePageToken(cursor: RequestCursor): string {
  return Buffer.from(`${cursor.startTimeUs}/${cursor.attemptId}`).toString("base64url");
}

/** Reads what writePageToken wrote; undefined for the beginning. */
export function readPageToken(token: string): RequestCursor | undefined {
  if (token === "") {
    return undefined;
  }
  const match = /^(-?\d{1,18})\/([0-9a-f-]{36})$/.exec(Buffer.from(token, "base64url").toString());
  const [, us, attemptId] = match ?? [];
  if (us === undefined || attemptId === undefined || !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(attemptId)) {
    throw invalid("page_token", "is not one that this service gave");
  }
  return { startTimeUs: BigInt(us), attemptId };
}

/** An error about a parameter. */
export function invalid(param: string, problem: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${param} ${problem}`, { metadata: { param } });
}

/** Does what asks the database; a failure becomes UNAVAILABLE. */
export async function ask<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "the ledger cannot be asked", { cause: error });
  }
}

function readDimension(dimension: Dimension): UsageDimension {
  switch (dimension) {
    case Dimension.KEY:
      return "key";
    case Dimension.TEAM:
      return "team";
    case Dimension.ORGANIZATION:
      return "organization";
    case Dimension.USER:
      return "user";
    case Dimension.PROVIDER:
      return "provider";
    case Dimension.REQUESTED_MODEL:
      return "requested_model";
    case Dimension.MODEL:
      return "model";
    case Dimension.OUTCOME:
      return "outcome";
    case Dimension.TAG:
      return "tag";
    case Dimension.HOUR:
      return "hour";
    case Dimension.DAY:
      return "day";
    case Dimension.MONTH:
      return "month";
    case Dimension.UNSPECIFIED:
    default:
      throw invalid("group_by", "names an unknown dimension");
  }
}
