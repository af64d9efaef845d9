/** What a limit can be set on. */
export const scopeKinds = ["organization", "team", "key", "user", "tag", "model", "provider"] as const;
export type ScopeKind = (typeof scopeKinds)[number];

/** Whom a limit is for. */
export interface LimitScope {
  readonly kind: ScopeKind;
  /** The name of the tag; empty for other kinds. */
  readonly tag: string;
  /** The one id or value that is limited; undefined limits each by a counter of its own. */
  readonly value: string | undefined;
}

/** The windows of a budget. All but `lifetime` follow the calendar of their zone; weeks begin on Monday. */
export const budgetWindows = ["minute", "hour", "day", "week", "month", "lifetime"] as const;
export type BudgetWindow = (typeof budgetWindows)[number];

/** How much a limit allows. */
export type LimitMetric =
  | { readonly kind: "budget"; readonly nanosUsd: bigint; readonly window: BudgetWindow; readonly zone: string }
  | { readonly kind: "requests_per_minute" | "tokens_per_minute" | "concurrency"; readonly limit: number };

/** One limit, from the configuration or the database. */
export interface LimitRule {
  /** Unique, and the same after a restart: counters are kept under it. */
  readonly id: string;
  readonly scope: LimitScope;
  readonly metric: LimitMetric;
  /** The shares of a budget, in percent, whose use raises an alert. */
  readonly warnAt: readonly number[];
}

/** What is known of a request when its limits are looked up. Empty strings where it has no such thing. */
export interface LimitFacts {
  readonly organizationId: string;
  readonly teamId: string;
  readonly keyId: string;
  readonly userId: string;
  /** Those of the key and of the request. */
  readonly tags: Readonly<Record<string, string>>;
  /** As the caller named it. */
  readonly model: string;
  /** Those that may answer. */
  readonly providers: readonly string[];
}

/** The counters that a rule has for a request, by the values that they count; none when it does not apply. */
export function valuesOf(scope: LimitScope, facts: LimitFacts): readonly string[] {
  const found = factsOf(scope, facts);
  return found.filter((value) => value !== "" && (scope.value === undefined || scope.value === value));
}

function factsOf(scope: LimitScope, facts: LimitFacts): readonly string[] {
  switch (scope.kind) {
    case "organization":
      return [facts.organizationId];
    case "team":
      return [facts.teamId];
    case "key":
      return [facts.keyId];
    case "user":
      return [facts.userId];
    case "tag":
      return Object.hasOwn(facts.tags, scope.tag) ? [facts.tags[scope.tag] ?? ""] : [];
    case "model":
      return [facts.model];
    case "provider":
      return facts.providers;
  }
}

/** Whether the same key may have other counters of this rule from one request to the next. */
export function dependsOnRequest(kind: ScopeKind): boolean {
  return kind === "tag" || kind === "model" || kind === "provider";
}
