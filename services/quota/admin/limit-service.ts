import { randomUUID } from "node:crypto";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Limit, LimitService } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import type { Actor } from "#kit/auth/actor.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { periodAt } from "../limits/budget-period.ts";
import { limitBudgetId, limitBudgetPrefix } from "../limits/limit-book.ts";
import type { LimitRule } from "../limits/limit-rule.ts";
import type { Place, StoredLimit } from "../store/admin-store.ts";
import { auditOf, callerOf } from "./caller.ts";
import { auditLimit, mapLimit, readLimit } from "./limit-messages.ts";
import { type LimitScopeDeps, placeOfValue, requireLimitPower, seesLimit, seesValue } from "./limit-scope.ts";
import { type LimitUsageDeps, readLimitUsage } from "./limit-usage.ts";
import { invalid, pageOf, readIdToken, readPageSize, readText, requireText, stored } from "./read-fields.ts";

/** What the service works with. */
export interface LimitServiceDeps extends LimitScopeDeps, LimitUsageDeps {
  /** The limits of the configuration. */
  readonly configured: () => readonly LimitRule[];
  /** Takes over the limits as they are in the store now. */
  readonly reload: () => Promise<void>;
}

interface KnownLimit {
  readonly rule: LimitRule;
  readonly owner: Place;
  /** Undefined for one of the configuration. */
  readonly createTimeMs: number | undefined;
}

const everything: Place = { organizationId: "", teamId: "" };
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Manages limits. What a role may do at all is checked before: `kit/auth/permissions.ts`. */
export function createLimitService(deps: LimitServiceDeps): ServiceImpl<typeof LimitService> {
  const { admin } = deps;

  const allLimits = async (): Promise<readonly KnownLimit[]> => [
    ...deps.configured().map((rule) => ({ rule, owner: everything, createTimeMs: undefined })),
    ...(await admin.listLimits()),
  ];
  const seenLimit = async (actor: Actor, id: string): Promise<KnownLimit> => {
    const found = (await stored(allLimits())).find(({ rule }) => rule.id === id);
    if (found === undefined || !(await stored(seesLimit(deps, actor, found.rule)))) {
      throw notFound();
    }
    return found;
  };
  /** The limit of the store that a caller may change. */
  const ownLimit = async (actor: Actor, id: string): Promise<KnownLimit> => {
    const found = await seenLimit(actor, id);
    if (found.createTimeMs === undefined) {
      throw invalid("limit.id", "is a limit of the configuration");
    }
    requireLimitPower(actor, found.owner);
    return found;
  };

  return {
    async createLimit(req, context) {
      const caller = callerOf(context);
      const { actor } = caller;
      const wanted = required(req.limit);
      if (wanted.id !== "" && !uuid.test(wanted.id)) {
        throw invalid("limit.id", "must be a UUID");
      }
      const rule = readLimit(wanted, wanted.id === "" ? randomUUID() : wanted.id);
      const place = await stored(requireLimitable(deps, actor, rule));
      const limit: StoredLimit = {
        rule,
        owner: { organizationId: actor.organizationId, teamId: actor.teamId },
        createTimeMs: deps.wallClock(),
      };
      const made = await stored(
        admin.change(async (transaction) => {
          const earlier = await transaction.getLimit(rule.id);
          if (earlier !== undefined) {
            if (!isSame(earlier.rule, rule)) {
              throw invalid("limit.id", "is that of another limit");
            }
            return earlier;
          }
          await transaction.insertLimit(limit);
          await transaction.record(
            auditOf(caller, { kind: "limit", id: rule.id, ...place }, undefined, auditLimit(rule, limit.createTimeMs)),
          );
          return limit;
        }),
      );
      await stored(deps.reload());
      return { limit: mapLimit(made.rule, made.createTimeMs) };
    },
    async listLimits(req, context) {
      const { actor } = callerOf(context);
      const pageSize = readPageSize(req.pageSize);
      const afterId = readIdToken(req.pageToken);
      const seen: KnownLimit[] = [];
      for (const limit of await stored(allLimits())) {
        if (actor.organizationId === "" || (await stored(seesLimit(deps, actor, limit.rule)))) {
          seen.push(limit);
        }
      }
      const start = afterId === "" ? 0 : seen.findIndex(({ rule }) => rule.id === afterId) + 1;
      if (start === 0 && afterId !== "") {
        throw invalid("page_token", "is of a limit that has ended");
      }
      const { page, nextPageToken } = pageOf(seen.slice(start, start + pageSize + 1), pageSize, ({ rule }) => [
        rule.id,
      ]);
      return { limits: page.map(({ rule, createTimeMs }) => mapLimit(rule, createTimeMs)), nextPageToken };
    },
    async updateLimit(req, context) {
      const caller = callerOf(context);
      const wanted = required(req.limit);
      const known = await ownLimit(caller.actor, wanted.id);
      const rule = readLimit(wanted, wanted.id);
      const place = await stored(placeOfLimit(deps, rule));
      const changed = await stored(
        admin.change(async (transaction) => {
          const before = await transaction.getLimit(rule.id);
          if (before === undefined) {
            throw notFound();
          }
          if (!isSame(withoutAmount(before.rule), withoutAmount(rule))) {
            throw invalid("limit", "may change its amount and thresholds only");
          }
          if (isSame(before.rule, rule)) {
            return before;
          }
          const after = { ...before, rule };
          await transaction.saveLimit(after);
          await transaction.record(
            auditOf(
              caller,
              { kind: "limit", id: rule.id, ...place },
              auditLimit(before.rule, before.createTimeMs),
              auditLimit(rule, before.createTimeMs),
            ),
          );
          return after;
        }),
      );
      await stored(deps.reload());
      return { limit: mapLimit(changed.rule, known.createTimeMs) };
    },
    async deleteLimit(req, context) {
      const caller = callerOf(context);
      const known = await ownLimit(caller.actor, req.limitId);
      const place = await stored(placeOfLimit(deps, known.rule));
      await stored(
        admin.change(async (transaction) => {
          const before = await transaction.getLimit(req.limitId);
          if (before === undefined) {
            return;
          }
          await transaction.deleteLimit(req.limitId);
          await transaction.record(
            auditOf(
              caller,
              { kind: "limit", id: req.limitId, ...place },
              auditLimit(before.rule, before.createTimeMs),
              undefined,
            ),
          );
        }),
      );
      await stored(deps.reload());
      return {};
    },
    async topUp(req, context) {
      const caller = callerOf(context);
      const { rule, owner } = await seenLimit(caller.actor, req.limitId);
      requireLimitPower(caller.actor, owner);
      const { metric } = rule;
      const value = limitedValue(rule, req.value);
      const idempotencyKey = requireText("idempotency_key", req.idempotencyKey);
      if (metric.kind !== "budget") {
        throw invalid("limit_id", "is not that of a budget");
      }
      if (req.amountNanosUsd <= 0n) {
        throw invalid("amount_nanos_usd", "must be more than 0");
      }
      const amountNanosUsd = req.amountNanosUsd;
      const id = limitBudgetId(rule.id, value, periodAt(metric.window, metric.zone, deps.wallClock()));
      const place = (await stored(placeOfValue(deps, rule.scope.kind, value))) ?? everything;
      await stored(
        admin.change(async (transaction) => {
          const result = await transaction.topUp(
            { madeBy: caller.actor.keyId, idempotencyKey },
            { id, limitNanosUsd: metric.nanosUsd, amountNanosUsd },
          );
          if (result.kind === "repeated") {
            const isSameTopUp = result.budgetId.startsWith(`${limitBudgetPrefix(rule.id)}${value}`);
            if (!isSameTopUp || result.amountNanosUsd !== amountNanosUsd) {
              throw invalid("idempotency_key", "names another top-up");
            }
            return;
          }
          const { organizationId, teamId } = place;
          await transaction.record(
            auditOf(caller, { kind: "limit", id: rule.id, organizationId, teamId }, undefined, {
              budget: id,
              top_up_nanos_usd: String(amountNanosUsd),
            }),
          );
        }),
      );
      const [usage] = await stored(readLimitUsage(deps, rule, { value, afterValue: "", limit: 1 }));
      return usage === undefined ? {} : { usage };
    },
    async getUsage(req, context) {
      const { actor } = callerOf(context);
      const { rule } = await seenLimit(actor, req.limitId);
      const pageSize = readPageSize(req.pageSize);
      const afterValue = readIdToken(req.pageToken);
      const asked = req.value === "" ? (rule.scope.value ?? "") : limitedValue(rule, req.value);
      const value = asked === "" ? undefined : asked;
      if (actor.organizationId !== "") {
        if (value === undefined) {
          throw invalid("value", "is required of a caller that sees one organisation");
        }
        if (!(await stored(seesValue(deps, actor, rule.scope.kind, value)))) {
          throw notFound();
        }
      }
      const found = await stored(readLimitUsage(deps, rule, { value, afterValue, limit: pageSize + 1 }));
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [last.value]);
      return { usages: [...page], nextPageToken };
    },
  };
}

/** Where a new limit belongs. Throws unless a caller may set it: on something of its own, or as who sees everything. */
async function requireLimitable(deps: LimitScopeDeps, actor: Actor, rule: LimitRule): Promise<Place> {
  const { kind, value } = rule.scope;
  const place = value === undefined ? undefined : await placeOfValue(deps, kind, value);
  const isOfTenant = kind === "organization" || kind === "team" || kind === "key" || kind === "user";
  if (value !== undefined && isOfTenant && (place === undefined || !(await seesValue(deps, actor, kind, value)))) {
    throw invalid("limit.value", `is not a ${kind}`);
  }
  if (place === undefined && actor.organizationId !== "") {
    throw gatewayError(
      ErrorReason.PERMISSION_DENIED,
      "The limit would hold beyond the organisation or team of the caller.",
    );
  }
  return { organizationId: place?.organizationId ?? "", teamId: place?.teamId ?? "" };
}

async function placeOfLimit(deps: LimitScopeDeps, { scope }: LimitRule): Promise<Place> {
  const place = scope.value === undefined ? undefined : await placeOfValue(deps, scope.kind, scope.value);
  return { organizationId: place?.organizationId ?? "", teamId: place?.teamId ?? "" };
}

/** The value that is asked for, or the one that the limit is set on. Throws where it limits another, or it is not said. */
function limitedValue({ scope }: LimitRule, asked: string): string {
  const value = asked === "" ? (scope.value ?? "") : readText("value", asked);
  if (value === "" || (scope.value !== undefined && scope.value !== value)) {
    throw invalid("value", value === "" ? "is required" : "is not what the limit is set on");
  }
  return value;
}

function required(limit: Limit | undefined): Limit {
  if (limit === undefined) {
    throw invalid("limit", "is required");
  }
  return limit;
}

function withoutAmount({ metric, ...rule }: LimitRule): object {
  const { kind } = metric;
  return {
    ...rule,
    warnAt: [],
    metric: kind === "budget" ? { kind, window: metric.window, zone: metric.zone } : { kind },
  };
}

function isSame(a: object, b: object): boolean {
  const text = (value: object): string =>
    JSON.stringify(value, (_name, each: unknown) => (typeof each === "bigint" ? `${each}n` : each));
  return text(a) === text(b);
}

function notFound() {
  return gatewayError(ErrorReason.NOT_FOUND, "no such limit");
}
