import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type AccountingService,
  ExportFormat,
  type UsageRow,
} from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { readActor } from "#kit/auth/actor.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { type ExportForm, exportRequests } from "./export/export-requests.ts";
import { ingestEvents } from "./ingest.ts";
import {
  ask,
  cursorOf,
  invalid,
  maySee,
  readFilter,
  readPageSize,
  readPageToken,
  readText,
  readTime,
  readUsageQuery,
  writePageToken,
} from "./read-request.ts";
import type { LedgerStore, UsageSum } from "./store/store.ts";
import { buildTimeline } from "./timeline.ts";
import type { LedgerFollower } from "./watch/ledger-follower.ts";
import { openRequestFeed } from "./watch/request-feed.ts";
import { watchSpend } from "./watch/watch-spend.ts";

/** What the service works with. */
export interface AccountingServiceDeps {
  readonly store: LedgerStore;
  readonly follower: LedgerFollower;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Hears of events that became dead letters. */
  readonly onBuried?: ((count: number) => void) | undefined;
}

const maxRows = 10_000;
const maxWatchedRows = 1_000;
const maxLeases = 1_000;
const dayMs = 86_400_000;
const spendIntervalMs = 1_000;
const spendIdleMs = 30_000;

/** Translates between the RPCs of AccountingService and the ledger. */
export function createAccountingService(deps: AccountingServiceDeps): ServiceImpl<typeof AccountingService> {
  const { store, follower, wallClock } = deps;
  return {
    async ingest(req) {
      const result = await ask(ingestEvents(store, req.events));
      if (result.buried > 0) {
        deps.onBuried?.(result.buried);
      }
      return { inserted: BigInt(result.inserted) };
    },
    async queryUsage(req, ctx) {
      const query = readUsageQuery(req, readActor(ctx.requestHeader), wallClock());
      return rowsOf(await ask(store.sumUsage(query, maxRows + 1)), maxRows);
    },
    async listRequests(req, ctx) {
      const pageSize = readPageSize(req.pageSize);
      const found = await ask(
        store.listRequests({
          // One more than asked for tells whether there is another page.
          limit: pageSize + 1,
          after: readPageToken(req.pageToken),
          filter: readFilter(req.filter, readActor(ctx.requestHeader)),
          startTimeMs: readTime("start_time", req.startTime),
          endTimeMs: readTime("end_time", req.endTime),
          minCostNanosUsd: req.minCostNanosUsd,
          requestId: readText("request_id", req.requestId),
          allAttempts: false,
        }),
      );
      const requests = found.slice(0, pageSize);
      const last = requests.at(-1);
      const hasMore = last !== undefined && found.length > pageSize;
      return { requests, nextPageToken: hasMore ? writePageToken(cursorOf(last)) : "" };
    },
    async getRequest(req, ctx) {
      const recorded = await ask(store.getAttempts(readText("request_id", req.requestId)));
      const actor = readActor(ctx.requestHeader);
      const visible = recorded.filter(({ event }) => maySee(actor, event));
      if (visible.length === 0) {
        throw gatewayError(ErrorReason.NOT_FOUND, "no such request");
      }
      const attempts = visible.map(({ event }) => event);
      const changes = await ask(store.listCostChanges(attempts.map((event) => event.attemptId)));
      return {
        attempts,
        costNanosUsd: attempts.reduce((sum, each) => sum + each.costNanosUsd, 0n),
        timeline: buildTimeline(visible),
        costChanges: changes.map(({ timeMs, ...change }) => ({ ...change, time: timestampFromMs(timeMs) })),
      };
    },
    async sumLeases(req) {
      if (req.leaseIds.length > maxLeases) {
        throw invalid("lease_ids", `has more than ${maxLeases} entries`);
      }
      const sums = await ask(store.sumLeases(req.leaseIds.map((leaseId) => readText("lease_ids", leaseId))));
      return { costNanosUsd: Object.fromEntries(req.leaseIds.map((leaseId) => [leaseId, sums.get(leaseId) ?? 0n])) };
    },
    watchRequests(req, ctx) {
      return openRequestFeed(follower, readFilter(req.filter, readActor(ctx.requestHeader)), ctx.signal);
    },
    async *watchSpend(req, ctx) {
      const nowMs = wallClock();
      const startTime = req.startTime ?? timestampFromMs(Math.floor(nowMs / dayMs) * dayMs);
      const actor = readActor(ctx.requestHeader);
      const query = readUsageQuery({ ...req, startTime, endTime: timestampFromMs(nowMs + 1) }, actor, nowMs);
      if (follower.isFull) {
        throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "too many callers watch the ledger");
      }
      const read = (): Promise<readonly UsageSum[]> => {
        const endTimeMs = query.startTimeMs + Math.ceil((wallClock() + dayMs - query.startTimeMs) / dayMs) * dayMs;
        return store.sumUsage({ ...query, endTimeMs }, maxWatchedRows + 1);
      };
      const watch = watchSpend({
        follower,
        read,
        intervalMs: spendIntervalMs,
        idleMs: spendIdleMs,
        signal: ctx.signal,
      });
      for (;;) {
        const next = await ask(watch.next());
        if (next.done === true) {
          return;
        }
        yield { ...rowsOf(next.value, maxWatchedRows), time: timestampFromMs(wallClock()) };
      }
    },
    async *exportRequests(req, ctx) {
      const pieces = exportRequests(
        store,
        {
          filter: readFilter(req.filter, readActor(ctx.requestHeader)),
          startTimeMs: readTime("start_time", req.startTime),
          endTimeMs: readTime("end_time", req.endTime) ?? wallClock(),
          minCostNanosUsd: 0n,
          requestId: "",
          allAttempts: req.allAttempts,
        },
        readForm(req.format),
      );
      while (!ctx.signal.aborted) {
        const next = await ask(pieces.next());
        if (next.done === true) {
          return;
        }
        yield { data: next.value };
      }
    },
  };
}

function rowsOf(sums: readonly UsageSum[], limit: number): { rows: UsageRow[]; truncated: boolean } {
  const rows = sums.slice(0, limit).map(
    (sum): UsageRow => ({
      $typeName: "penstock.accounting.v1.UsageRow",
      ...sum,
      dimensions: [...sum.dimensions],
    }),
  );
  return { rows, truncated: sums.length > limit };
}

function readForm(format: ExportFormat): ExportForm {
  switch (format) {
    case ExportFormat.UNSPECIFIED:
    case ExportFormat.CSV:
      return "csv";
    case ExportFormat.JSON_LINES:
      return "json_lines";
    default:
      throw invalid("format", "is not one that is known");
  }
}
