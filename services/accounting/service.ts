import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError, ServiceImpl } from "@connectrpc/connect";
import { type AccountingService, Dimension } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { ingestEvents } from "./ingest.ts";
import type { LedgerStore, RequestCursor, UsageDimension } from "./store/store.ts";

/** What the service works with. */
export interface AccountingServiceDeps {
  readonly store: LedgerStore;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Hears of events that became dead letters. */
  readonly onBuried?: (count: number) => void;
}

const defaultPageSize = 50;
const maxPageSize = 1_000;
const maxRows = 10_000;
const maxLeases = 1_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const defaultRangeMs = 30 * dayMs;
const maxRangeMs = 366 * dayMs;

/** Translates between the RPCs of AccountingService and the ledger. */
export function createAccountingService(deps: AccountingServiceDeps): ServiceImpl<typeof AccountingService> {
  const { store } = deps;
  return {
    async ingest(req) {
      const result = await ask(ingestEvents(store, req.events));
      if (result.buried > 0) {
        deps.onBuried?.(result.buried);
      }
      return { inserted: BigInt(result.inserted) };
    },
    async queryUsage(req) {
      const groupBy = req.groupBy.map(readDimension);
      if (new Set(groupBy).size < groupBy.length) {
        throw invalid("group_by", "names a dimension twice");
      }
      const endMs = readTime("end_time", req.endTime) ?? deps.wallClock();
      const startMs = readTime("start_time", req.startTime) ?? endMs - defaultRangeMs;
      if (startMs >= endMs || endMs - startMs > maxRangeMs) {
        throw invalid("start_time", "must be before end_time, and by no more than 366 days");
      }
      const sums = await ask(
        store.sumUsage(
          {
            startTimeMs: Math.floor(startMs / hourMs) * hourMs,
            endTimeMs: Math.ceil(endMs / hourMs) * hourMs,
            groupBy,
            keyId: text("key_id", req.keyId),
            teamId: text("team_id", req.teamId),
          },
          maxRows,
        ),
      );
      return { rows: sums.map((sum) => ({ ...sum, dimensions: [...sum.dimensions] })) };
    },
    async listRequests(req) {
      if (req.pageSize < 0 || req.pageSize > maxPageSize) {
        throw invalid("page_size", `must be between 0 and ${maxPageSize}`);
      }
      const pageSize = req.pageSize === 0 ? defaultPageSize : req.pageSize;
      const found = await ask(
        store.listRequests({
          // One more than asked for tells whether there is another page.
          limit: pageSize + 1,
          after: parsePageToken(req.pageToken),
          keyId: text("key_id", req.keyId),
          outcome: req.outcome === Outcome.UNSPECIFIED ? undefined : req.outcome,
          requestedModel: text("requested_model", req.requestedModel),
        }),
      );
      const requests = found.slice(0, pageSize);
      const last = requests.at(-1);
      return {
        requests,
        nextPageToken: last === undefined || found.length <= pageSize ? "" : writePageToken(last),
      };
    },
    async getRequest(req) {
      const attempts = await ask(store.getAttempts(text("request_id", req.requestId)));
      if (attempts.length === 0) {
        throw gatewayError(ErrorReason.NOT_FOUND, "no such request");
      }
      return { attempts: [...attempts], costNanosUsd: attempts.reduce((sum, each) => sum + each.costNanosUsd, 0n) };
    },
    async sumLeases(req) {
      if (req.leaseIds.length > maxLeases) {
        throw invalid("lease_ids", `has more than ${maxLeases} entries`);
      }
      const sums = await ask(store.sumLeases(req.leaseIds.map((leaseId) => text("lease_ids", leaseId))));
      return { costNanosUsd: Object.fromEntries(req.leaseIds.map((leaseId) => [leaseId, sums.get(leaseId) ?? 0n])) };
    },
  };
}

async function ask<T>(work: Promise<T>): Promise<T> {
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
    case Dimension.PROVIDER:
      return "provider";
    case Dimension.REQUESTED_MODEL:
      return "requested_model";
    case Dimension.MODEL:
      return "model";
    case Dimension.OUTCOME:
      return "outcome";
    case Dimension.HOUR:
      return "hour";
    case Dimension.DAY:
      return "day";
    case Dimension.UNSPECIFIED:
    default:
      throw invalid("group_by", "names an unknown dimension");
  }
}

function text(param: string, value: string): string {
  if (value.includes("\0") || !value.isWellFormed()) {
    throw invalid(param, "is not text");
  }
  return value;
}

function readTime(param: string, time: Timestamp | undefined): number | undefined {
  if (time === undefined) {
    return undefined;
  }
  const ms = timestampMs(time);
  if (!(ms >= 0 && ms < 253_402_300_800_000)) {
    throw invalid(param, "is not a time between 1970 and 9999");
  }
  return ms;
}

function writePageToken(event: UsageEvent): string {
  const us = (event.startTime?.seconds ?? 0n) * 1_000_000n + BigInt(event.startTime?.nanos ?? 0) / 1_000n;
  return Buffer.from(`${us}/${event.attemptId}`).toString("base64url");
}

function parsePageToken(token: string): RequestCursor | undefined {
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

function invalid(param: string, problem: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${param} ${problem}`, { metadata: { param } });
}
