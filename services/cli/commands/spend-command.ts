import type { Command } from "commander";
import {
  AccountingService,
  Dimension,
  DimensionSchema,
  QueryUsageResponseSchema,
  type UsageRow,
  WatchSpendResponseSchema,
} from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { openApi } from "./call-api.ts";
import { formatTable } from "./format-table.ts";
import { formatDollars } from "#kit/money/format-dollars.ts";
import { type LedgerOptions, readLedgerFilter, readPeriod, withLedgerOptions } from "./ledger-options.ts";
import { UsageError } from "./usage-error.ts";

interface SpendOptions extends LedgerOptions {
  readonly by?: string;
  readonly watch?: true;
}

const dimensions: ReadonlyMap<string, Dimension> = new Map(
  DimensionSchema.values
    // `tag` is written with its name.
    .filter(({ number }) => number !== Dimension.UNSPECIFIED && number !== Dimension.TAG)
    // The numbers of an enumeration's values are its values.
    .map((value) => [value.localName.toLowerCase().replaceAll("_", "-"), value.number as Dimension]),
);

/** Adds `penstock spend`. */
export function addSpendCommand(program: Command): void {
  withLedgerOptions(program.command("spend").description("what was spent, by whom and on what"))
    .option("--by <dimensions>", `with commas between: ${[...dimensions.keys()].join(", ")}, tag:NAME`)
    .option("--watch", "print the sums of today, or since --since, whenever they change")
    .action(async (options: SpendOptions) => {
      const api = openApi(options);
      const names = options.by === undefined ? [] : options.by.split(",");
      const request = { ...readGroups(names), filter: readLedgerFilter(options), ...readPeriod(options) };
      const client = api.client(AccountingService);
      if (options.watch === true) {
        for await (const answer of client.watchSpend(request)) {
          api.print(WatchSpendResponseSchema, answer, () => `${spendTable(names, answer.rows)}\n`);
        }
        return;
      }
      const answer = await client.queryUsage(request);
      api.print(QueryUsageResponseSchema, answer, () => spendTable(names, answer.rows));
    });
}

function readGroups(names: readonly string[]): { readonly groupBy: Dimension[]; readonly tagName: string } {
  let tagName = "";
  const groupBy = names.map((name) => {
    if (name.startsWith("tag:")) {
      tagName = name.slice("tag:".length);
      return Dimension.TAG;
    }
    const dimension = dimensions.get(name);
    if (dimension === undefined) {
      throw new UsageError(`--by: there is no ${name}; there are: ${[...dimensions.keys()].join(", ")}, tag:NAME`);
    }
    return dimension;
  });
  return { groupBy, tagName };
}

function spendTable(names: readonly string[], rows: readonly UsageRow[]): string {
  return formatTable(
    [
      ...names.map((name) => ({ title: name.toUpperCase() })),
      { title: "COST", right: true },
      { title: "REQUESTS", right: true },
      { title: "ATTEMPTS", right: true },
      { title: "INPUT", right: true },
      { title: "CACHED", right: true },
      { title: "OUTPUT", right: true },
    ],
    rows.map(({ dimensions: values, costNanosUsd, requests, attempts, usage }) => [
      ...values.map((value) => value.replace(/^OUTCOME_/, "").replace("T00:00:00Z", "")),
      formatDollars(costNanosUsd),
      String(requests),
      String(attempts),
      String((usage?.uncachedInputTokens ?? 0n) + (usage?.cacheReadTokens ?? 0n) + (usage?.cacheWriteTokens ?? 0n)),
      String(usage?.cacheReadTokens ?? 0n),
      String(usage?.outputTokens ?? 0n),
    ]),
  );
}
