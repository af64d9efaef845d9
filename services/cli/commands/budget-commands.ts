import { create } from "@bufbuild/protobuf";
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import {
  CreateLimitResponseSchema,
  GetUsageResponseSchema,
  type Limit,
  LimitScope,
  LimitService,
  type LimitUsage,
  LimitWindow,
  ListLimitsResponseSchema,
  TopUpResponseSchema,
} from "#gen/penstock/admin/v1/limit_service_pb.ts";
import { allPages, type Api, type ApiOptions, openApi, withApiOptions } from "./call-api.ts";
import { formatTable } from "./format-table.ts";
import { formatDollars } from "#kit/money/format-dollars.ts";
import { formatTime } from "./format-time.ts";
import { readCount, readMoney, readPercent, repeated } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

interface AmountOptions extends ApiOptions {
  readonly budget?: string;
  readonly rpm?: string;
  readonly tpm?: string;
  readonly concurrency?: string;
  readonly window?: string;
  readonly zone?: string;
  readonly warn?: readonly string[];
}

const scopes: ReadonlyMap<string, LimitScope> = new Map([
  ["organization", LimitScope.ORGANIZATION],
  ["team", LimitScope.TEAM],
  ["key", LimitScope.KEY],
  ["user", LimitScope.USER],
  ["tag", LimitScope.TAG],
  ["model", LimitScope.MODEL],
  ["provider", LimitScope.PROVIDER],
]);
const windows: ReadonlyMap<string, LimitWindow> = new Map([
  ["minute", LimitWindow.MINUTE],
  ["hour", LimitWindow.HOUR],
  ["day", LimitWindow.DAY],
  ["week", LimitWindow.WEEK],
  ["month", LimitWindow.MONTH],
  ["lifetime", LimitWindow.LIFETIME],
]);

/** Adds `penstock budgets …`: budgets, and the other limits on anything but single keys. */
export function addBudgetCommands(program: Command): void {
  const budgets = program.command("budgets").description("budgets, rates and concurrency of anything");
  withAmount(
    budgets
      .command("create")
      .description("limit something")
      .argument("<scope>", "team=search, organization=each, tag.project=blue, model=gpt-4o …"),
  )
    .option("--window <window>", "when a budget begins anew: minute, hour, day, week, month or lifetime")
    .option("--zone <zone>", "the time zone of the window, such as Europe/Berlin")
    .action(async (scope: string, options: AmountOptions) => {
      const api = openApi(options);
      const { limit } = await api.client(LimitService).createLimit({
        limit: {
          ...readScope(scope),
          ...readAmount(options),
          window: readWindow(options.window),
          zone: options.zone ?? "",
        },
      });
      printLimit(api, limit);
    });
  withAmount(budgets.command("update").description("change how much a limit allows").argument("<id>", "its id")).action(
    async (id: string, options: AmountOptions) => {
      const api = openApi(options);
      const limit = (await listLimits(api)).find((each) => each.id === id);
      if (limit === undefined) {
        throw new Error(`there is no limit ${id}`);
      }
      const { limit: changed } = await api.client(LimitService).updateLimit({
        limit: Object.assign(limit, readAmount(options)),
      });
      printLimit(api, changed);
    },
  );
  withApiOptions(budgets.command("list").description("list limits, those of the configuration too")).action(
    async (options: ApiOptions) => {
      const api = openApi(options);
      const limits = await listLimits(api);
      api.print(ListLimitsResponseSchema, create(ListLimitsResponseSchema, { limits: [...limits] }), () =>
        limitTable(limits),
      );
    },
  );
  withApiOptions(budgets.command("delete").description("end a limit").argument("<id>", "its id")).action(
    async (limitId: string, options: ApiOptions) => {
      const api = openApi(options);
      await api.client(LimitService).deleteLimit({ limitId });
      api.write(options.json === true ? "{}" : `${limitId} is gone`);
    },
  );
  withApiOptions(
    budgets
      .command("usage")
      .description("show how much of a limit is used, by value")
      .argument("<id>", "its id")
      .argument("[value]", "only this one"),
  ).action(async (limitId: string, value: string | undefined, options: ApiOptions) => {
    const api = openApi(options);
    const client = api.client(LimitService);
    const isMoney = (await listLimits(api)).find((each) => each.id === limitId)?.amount.case === "budgetNanosUsd";
    const usages = await allPages(async (pageToken) => {
      const page = await client.getUsage({ limitId, value: value ?? "", pageSize: 1_000, pageToken });
      return { items: page.usages, nextPageToken: page.nextPageToken };
    });
    api.print(GetUsageResponseSchema, create(GetUsageResponseSchema, { usages: [...usages] }), () =>
      usageTable(usages, isMoney),
    );
  });
  withApiOptions(
    budgets
      .command("top-up")
      .description("add to what may be spent in the window that runs now")
      .argument("<id>", "the limit's id")
      .argument("<dollars>", "what is added")
      .argument("[value]", "whose budget, where the limit is for each"),
  )
    .option("--idempotency-key <name>", "add at most once under this name")
    .action(
      async (
        limitId: string,
        dollars: string,
        value: string | undefined,
        options: ApiOptions & { readonly idempotencyKey?: string },
      ) => {
        const api = openApi(options);
        const answer = await api.client(LimitService).topUp({
          limitId,
          value: value ?? "",
          amountNanosUsd: readMoney("dollars", dollars),
          idempotencyKey: options.idempotencyKey ?? randomUUID(),
        });
        api.print(TopUpResponseSchema, answer, () =>
          usageTable(answer.usage === undefined ? [] : [answer.usage], true),
        );
      },
    );
}

function withAmount(command: Command): Command {
  return withApiOptions(command)
    .option("--budget <dollars>", "the most that may be spent in a window")
    .option("--rpm <count>", "the most requests a minute")
    .option("--tpm <count>", "the most tokens a minute")
    .option("--concurrency <count>", "the most requests that run at a time")
    .option("--warn <percent>", "a share of the budget whose use raises an alert; may be repeated", repeated);
}

async function listLimits(api: Api): Promise<readonly Limit[]> {
  const client = api.client(LimitService);
  return await allPages(async (pageToken) => {
    const page = await client.listLimits({ pageSize: 1_000, pageToken });
    return { items: page.limits, nextPageToken: page.nextPageToken };
  });
}

function readScope(text: string): Pick<Limit, "scope" | "tag" | "value"> {
  const [, kind = "", tag = "", value = ""] = /^([a-z]+)(?:\.([^=]+))?=(.+)$/.exec(text) ?? [];
  const scope = scopes.get(kind);
  if (scope === undefined) {
    throw new UsageError(`expected one of ${[...scopes.keys()].join(", ")} with a value, such as team=search`);
  }
  return { scope, tag, value: value === "each" ? "" : value };
}

function readAmount(options: AmountOptions): Pick<Limit, "amount" | "warnPercents"> {
  const { budget, rpm, tpm, concurrency, warn = [] } = options;
  const amounts: Limit["amount"][] = [];
  if (budget !== undefined) {
    amounts.push({ case: "budgetNanosUsd", value: readMoney("--budget", budget) });
  }
  if (rpm !== undefined) {
    amounts.push({ case: "requestsPerMinute", value: readCount("--rpm", rpm) });
  }
  if (tpm !== undefined) {
    amounts.push({ case: "tokensPerMinute", value: readCount("--tpm", tpm) });
  }
  if (concurrency !== undefined) {
    amounts.push({ case: "concurrency", value: readCount("--concurrency", concurrency) });
  }
  const [amount] = amounts;
  if (amount === undefined || amounts.length > 1) {
    throw new UsageError("give one of --budget, --rpm, --tpm and --concurrency");
  }
  return { amount, warnPercents: warn.map((text) => readPercent("--warn", text)) };
}

function readWindow(text: string | undefined): LimitWindow {
  const window = text === undefined ? LimitWindow.UNSPECIFIED : windows.get(text);
  if (window === undefined) {
    throw new UsageError(`--window: expected one of ${[...windows.keys()].join(", ")}`);
  }
  return window;
}

function printLimit(api: Api, limit: Limit | undefined): void {
  const answer = create(CreateLimitResponseSchema, limit === undefined ? {} : { limit });
  api.print(CreateLimitResponseSchema, answer, () => limitTable(limit === undefined ? [] : [limit]));
}

function limitTable(limits: readonly Limit[]): string {
  return formatTable(
    [{ title: "ID" }, { title: "SCOPE" }, { title: "LIMIT", right: true }, { title: "PER" }, { title: "SET BY" }],
    limits.map((limit) => [
      limit.id,
      `${nameOf(scopes, limit.scope)}${limit.tag === "" ? "" : `.${limit.tag}`}=${limit.value === "" ? "each" : limit.value}`,
      limit.amount.case === "budgetNanosUsd" ? formatDollars(limit.amount.value) : `${limit.amount.value ?? ""}`,
      unitOf(limit),
      limit.fromConfiguration ? "configuration" : "API",
    ]),
  );
}

function unitOf({ amount, window, zone }: Limit): string {
  switch (amount.case) {
    case "budgetNanosUsd":
      return window === LimitWindow.LIFETIME ? "lifetime" : `${nameOf(windows, window)} (${zone})`;
    case "requestsPerMinute":
      return "requests a minute";
    case "tokensPerMinute":
      return "tokens a minute";
    case "concurrency":
      return "at a time";
    case undefined:
      return "";
  }
}

function usageTable(usages: readonly LimitUsage[], isMoney: boolean): string {
  const amount = (value: bigint): string => (isMoney ? formatDollars(value) : value.toString());
  return formatTable(
    [
      { title: "VALUE" },
      { title: "LIMIT", right: true },
      { title: "USED", right: true },
      { title: "HELD", right: true },
      { title: "LEFT", right: true },
      { title: "BEGINS ANEW" },
    ],
    usages.map((usage) => [
      usage.value,
      amount(usage.limit),
      amount(usage.used),
      amount(usage.held),
      amount(usage.available),
      formatTime(usage.resetTime),
    ]),
  );
}

function nameOf<T>(names: ReadonlyMap<string, T>, value: T): string {
  return [...names].find(([, each]) => each === value)?.[0] ?? "";
}
