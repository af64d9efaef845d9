import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type pg from "pg";
import { type RecomputeCostsRequest, RepairService } from "#gen/penstock/accounting/v1/repair_service_pb.ts";
import type { TokenPrices } from "#gen/penstock/router/v1/router_service_pb.ts";
import { type Actor, readActor } from "#kit/auth/actor.ts";
import { requirePermission } from "#kit/auth/permissions.ts";
import { findCataloguePrices } from "#kit/pricing/find-prices.ts";
import { ask, invalid, readPageSize, readText, readTime } from "../read-request.ts";
import type { LedgerStore } from "../store/store.ts";
import { type DeadLetterCursor, findDeadLetters, listDeadLetters, replayDeadLetter } from "./dead-letters.ts";
import { recomputeCosts } from "./recompute-costs.ts";

/** What the service works with. */
export interface RepairServiceDeps {
  readonly pool: pg.Pool;
  readonly store: LedgerStore;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

const maxReplayed = 1_000;
const maxReasonLength = 500;

/** Translates between the RPCs of RepairService and the ledger. */
export function createRepairService(deps: RepairServiceDeps): ServiceImpl<typeof RepairService> {
  const { pool, store, wallClock } = deps;
  return {
    async listDeadLetters(req, ctx) {
      authorize(ctx, "listDeadLetters");
      const pageSize = readPageSize(req.pageSize);
      const found = await ask(listDeadLetters(pool, pageSize + 1, readToken(req.pageToken)));
      const page = found.slice(0, pageSize);
      const last = page.at(-1);
      return {
        deadLetters: page.map(({ createTimeUs, ...letter }) => ({
          ...letter,
          createTime: timestampFromMs(Number(createTimeUs / 1_000n)),
        })),
        nextPageToken: last === undefined || found.length <= pageSize ? "" : `${last.createTimeUs}/${last.id}`,
      };
    },
    async replayDeadLetters(req, ctx) {
      authorize(ctx, "replayDeadLetters");
      const named = new Set([...req.ids, ...Object.keys(req.repairedPayloads)]);
      if (named.size > maxReplayed) {
        throw invalid("ids", `has more than ${maxReplayed} entries`);
      }
      if (named.size > 0 === req.all) {
        throw invalid("ids", "are required, or `all`, and not both");
      }
      for (const id of named) {
        if (!/^[0-9a-f]{64}$/.test(id)) {
          throw invalid("ids", "has one that names no dead letter");
        }
      }
      const letters = await ask(findDeadLetters(pool, req.all ? { oldest: maxReplayed } : { ids: [...named] }));
      const errors: Record<string, string> = {};
      let replayed = 0n;
      for (const letter of letters) {
        const problem = await ask(replayDeadLetter(pool, store, letter, req.repairedPayloads[letter.id]));
        if (problem === undefined) {
          replayed += 1n;
        } else {
          errors[letter.id] = problem;
        }
      }
      return { replayed, errors };
    },
    async recomputeCosts(req, ctx) {
      const actor = authorize(ctx, "recomputeCosts");
      const startTimeMs = readTime("start_time", req.startTime);
      const endTimeMs = readTime("end_time", req.endTime) ?? wallClock();
      if (startTimeMs === undefined || startTimeMs >= endTimeMs) {
        throw invalid("start_time", "is required, and must be before end_time");
      }
      if (req.provider === "" || req.model === "") {
        throw invalid("model", "and provider are required");
      }
      const result = await ask(
        recomputeCosts(
          pool,
          {
            startTimeMs,
            endTimeMs,
            provider: readText("provider", req.provider),
            model: readText("model", req.model),
            prices: pricesOf(req),
            reason: readText("reason", req.reason).slice(0, maxReasonLength).toWellFormed(),
            actorKeyId: actor?.keyId ?? "",
            isDryRun: req.dryRun,
          },
          ctx.signal,
        ),
      );
      return {
        attempts: BigInt(result.attempts),
        changed: BigInt(result.changed),
        oldCostNanosUsd: result.oldCost,
        newCostNanosUsd: result.newCost,
      };
    },
  };
}

function authorize(ctx: HandlerContext, method: keyof typeof RepairService.method): Actor | undefined {
  const actor = readActor(ctx.requestHeader);
  if (actor !== undefined) {
    requirePermission(actor, RepairService.method[method]);
  }
  return actor;
}

function pricesOf(req: RecomputeCostsRequest): TokenPrices {
  if (req.prices !== undefined) {
    if (readText("prices.source", req.prices.source) === "") {
      throw invalid("prices.source", "is required: rows name where their prices came from");
    }
    for (const [name, value] of Object.entries({ ...req.prices, ...req.prices.longContext })) {
      if (typeof value === "bigint" && value < 0n) {
        throw invalid("prices", `has a negative ${name}`);
      }
    }
    return req.prices;
  }
  const prices = findCataloguePrices(req.providerKind, req.model);
  if (prices === undefined) {
    throw invalid("provider_kind", "and model have no prices in the catalogue: give prices");
  }
  return prices;
}

function readToken(token: string): DeadLetterCursor | undefined {
  if (token === "") {
    return undefined;
  }
  const [, us, id] = /^(\d{1,18})\/([0-9a-f]{64})$/.exec(token) ?? [];
  if (us === undefined || id === undefined) {
    throw invalid("page_token", "is not one that this service gave");
  }
  return { createTimeUs: BigInt(us), id };
}
