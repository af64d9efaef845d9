import { type JsonObject, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Limit, LimitSchema, LimitScope, LimitWindow } from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { isTimeZone } from "../limits/budget-period.ts";
import type { BudgetWindow, LimitMetric, LimitRule, ScopeKind } from "../limits/limit-rule.ts";
import { invalid, readText } from "./read-fields.ts";

const scopes: Readonly<Record<ScopeKind, LimitScope>> = {
  organization: LimitScope.ORGANIZATION,
  team: LimitScope.TEAM,
  key: LimitScope.KEY,
  user: LimitScope.USER,
  tag: LimitScope.TAG,
  model: LimitScope.MODEL,
  provider: LimitScope.PROVIDER,
};
const windows: Readonly<Record<BudgetWindow, LimitWindow>> = {
  minute: LimitWindow.MINUTE,
  hour: LimitWindow.HOUR,
  day: LimitWindow.DAY,
  week: LimitWindow.WEEK,
  month: LimitWindow.MONTH,
  lifetime: LimitWindow.LIFETIME,
};
const maxThresholds = 10;

/** The rule of a message. Throws INVALID_ARGUMENT for one that limits nothing or something impossible. */
export function readLimit(limit: Limit, id: string): LimitRule {
  const kind = keyOf(scopes, limit.scope);
  if (kind === undefined) {
    throw invalid("limit.scope", "is required");
  }
  if ((kind === "tag") !== (limit.tag !== "")) {
    throw invalid("limit.tag", kind === "tag" ? "is required" : "is for limits on tags");
  }
  const metric = readMetric(limit);
  const warnAt = limit.warnPercents.toSorted((a, b) => a - b);
  if (warnAt.length > maxThresholds || warnAt.some((percent) => percent < 1 || percent > 100)) {
    throw invalid("limit.warn_percents", `must be at most ${maxThresholds} numbers from 1 to 100`);
  }
  if (warnAt.length > 0 && metric.kind !== "budget") {
    throw invalid("limit.warn_percents", "is for budgets");
  }
  return {
    id,
    scope: {
      kind,
      tag: readText("limit.tag", limit.tag),
      value: readText("limit.value", limit.value) === "" ? undefined : limit.value,
    },
    metric,
    warnAt,
  };
}

/** A limit as callers see it; `createTimeMs` is undefined for one of the configuration. */
export function mapLimit(rule: LimitRule, createTimeMs: number | undefined): Limit {
  const { metric } = rule;
  const isBudget = metric.kind === "budget";
  return {
    $typeName: "penstock.admin.v1.Limit",
    id: rule.id,
    scope: scopes[rule.scope.kind],
    tag: rule.scope.tag,
    value: rule.scope.value ?? "",
    amount: mapAmount(metric),
    window: isBudget ? windows[metric.window] : LimitWindow.UNSPECIFIED,
    zone: isBudget ? metric.zone : "",
    warnPercents: [...rule.warnAt],
    fromConfiguration: createTimeMs === undefined,
    ...(createTimeMs === undefined ? {} : { createTime: timestampFromMs(createTimeMs) }),
  };
}

/** A limit as the audit log keeps it. */
export function auditLimit(rule: LimitRule, createTimeMs: number): JsonObject {
  // The JSON of a message is an object.
  return toJson(LimitSchema, mapLimit(rule, createTimeMs)) as JsonObject;
}

function readMetric(limit: Limit): LimitMetric {
  const { amount } = limit;
  if (amount.case === undefined) {
    throw invalid("limit.amount", "is required");
  }
  if (amount.value < 0n) {
    throw invalid("limit.amount", "must not be negative");
  }
  if (amount.case === "budgetNanosUsd") {
    const zone = limit.zone === "" ? "UTC" : readText("limit.zone", limit.zone);
    if (!isTimeZone(zone)) {
      throw invalid("limit.zone", "is not a time zone such as Europe/Berlin");
    }
    const window = limit.window === LimitWindow.UNSPECIFIED ? "lifetime" : keyOf(windows, limit.window);
    if (window === undefined) {
      throw invalid("limit.window", "is not one that is known");
    }
    return { kind: "budget", nanosUsd: amount.value, window, zone };
  }
  if (limit.window !== LimitWindow.UNSPECIFIED || limit.zone !== "") {
    throw invalid("limit.window", "is for budgets");
  }
  if (amount.value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalid("limit.amount", "is too large");
  }
  return { kind: metricKinds[amount.case], limit: Number(amount.value) };
}

const metricKinds = {
  requestsPerMinute: "requests_per_minute",
  tokensPerMinute: "tokens_per_minute",
  concurrency: "concurrency",
} as const;

function mapAmount(metric: LimitMetric): Limit["amount"] {
  switch (metric.kind) {
    case "budget":
      return { case: "budgetNanosUsd", value: metric.nanosUsd };
    case "requests_per_minute":
      return { case: "requestsPerMinute", value: BigInt(metric.limit) };
    case "tokens_per_minute":
      return { case: "tokensPerMinute", value: BigInt(metric.limit) };
    case "concurrency":
      return { case: "concurrency", value: BigInt(metric.limit) };
  }
}

function keyOf<Name extends string, Value>(names: Readonly<Record<Name, Value>>, value: Value): Name | undefined {
  // The names of the record are of this type.
  return (Object.keys(names) as Name[]).find((name) => names[name] === value);
}
