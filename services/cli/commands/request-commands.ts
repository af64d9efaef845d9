import { once } from "node:events";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  AccountingService,
  ExportFormat,
  GetRequestResponseSchema,
  ListRequestsResponseSchema,
  TimelineKind,
  type TimelineEntry,
  WatchRequestsResponseSchema,
} from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import type { UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { type ApiOptions, openApi, withApiOptions } from "./call-api.ts";
import { formatFacts, formatTable } from "./format-table.ts";
import { formatDollars } from "#kit/money/format-dollars.ts";
import { formatTime } from "./format-time.ts";
import { type LedgerOptions, outcomeName, readLedgerFilter, readPeriod, withLedgerOptions } from "./ledger-options.ts";
import { readCount, readMoney } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

interface ListOptions extends LedgerOptions {
  readonly count: string;
  readonly minCost?: string;
}

interface ExportOptions extends LedgerOptions {
  readonly format: string;
  readonly attempts?: true;
}

const formats: ReadonlyMap<string, ExportFormat> = new Map([
  ["csv", ExportFormat.CSV],
  ["jsonl", ExportFormat.JSON_LINES],
]);

/** Adds `penstock requests …`. */
export function addRequestCommands(program: Command): void {
  const requests = program.command("requests").description("what was asked of the gateway, and what became of it");
  withLedgerOptions(requests.command("list").description("list requests, newest first"))
    .option("-n, --count <count>", "how many, at most 1000", "50")
    .option("--min-cost <dollars>", "only those that cost at least so much")
    .action(async (options: ListOptions) => {
      const api = openApi(options);
      const answer = await api.client(AccountingService).listRequests({
        pageSize: Number(readCount("--count", options.count)),
        filter: readLedgerFilter(options),
        ...readPeriod(options),
        ...(options.minCost === undefined ? {} : { minCostNanosUsd: readMoney("--min-cost", options.minCost) }),
      });
      api.print(ListRequestsResponseSchema, answer, () => requestTable(answer.requests));
    });
  withLedgerOptions(requests.command("tail").description("print requests as they end")).action(
    async (options: LedgerOptions) => {
      const api = openApi(options);
      for await (const answer of api.client(AccountingService).watchRequests({ filter: readLedgerFilter(options) })) {
        if (answer.requests.length > 0) {
          api.print(WatchRequestsResponseSchema, answer, () => answer.requests.map(requestLine).join("\n"));
        }
      }
    },
  );
  withApiOptions(requests.command("show").description("show a request").argument("<id>", "its id")).action(
    async (requestId: string, options: ApiOptions) => {
      const api = openApi(options);
      const answer = await api.client(AccountingService).getRequest({ requestId });
      api.print(GetRequestResponseSchema, answer, () =>
        [
          formatFacts([
            ["id", requestId],
            ["key", answer.attempts[0]?.keyId ?? ""],
            ["cost", formatDollars(answer.costNanosUsd)],
          ]),
          requestTable(answer.attempts),
          answer.timeline.map(timelineLine).join("\n"),
        ].join("\n\n"),
      );
    },
  );
  withLedgerOptions(requests.command("export").description("write requests to the standard output, as a file"))
    .option("--format <format>", [...formats.keys()].join(" or "), "csv")
    .option("--attempts", "a line for each attempt, also those that another one followed")
    .action(async (options: ExportOptions) => {
      const format = formats.get(options.format);
      if (format === undefined) {
        throw new UsageError(`--format: there is no ${options.format}; there are: ${[...formats.keys()].join(", ")}`);
      }
      const pieces = openApi(options)
        .client(AccountingService)
        .exportRequests({
          format,
          filter: readLedgerFilter(options),
          allAttempts: options.attempts === true,
          ...readPeriod(options),
        });
      for await (const piece of pieces) {
        if (!process.stdout.write(piece.data)) {
          await once(process.stdout, "drain");
        }
      }
    });
}

function requestTable(events: readonly UsageEvent[]): string {
  return formatTable(
    [
      { title: "TIME" },
      { title: "REQUEST" },
      { title: "KEY" },
      { title: "MODEL" },
      { title: "AT" },
      { title: "OUTCOME" },
      { title: "INPUT", right: true },
      { title: "OUTPUT", right: true },
      { title: "MS", right: true },
      { title: "COST", right: true },
    ],
    events.map(cellsOf),
  );
}

function requestLine(event: UsageEvent): string {
  return cellsOf(event).join("  ").replaceAll(/\p{C}/gu, "");
}

function cellsOf(event: UsageEvent): readonly string[] {
  const { usage } = event;
  return [
    formatTime(event.startTime),
    event.requestId,
    event.keyId,
    event.requestedModel,
    event.provider === "" ? "" : `${event.provider}/${event.model}`,
    outcomeName(event.outcome),
    String((usage?.uncachedInputTokens ?? 0n) + (usage?.cacheReadTokens ?? 0n) + (usage?.cacheWriteTokens ?? 0n)),
    String(usage?.outputTokens ?? 0n),
    event.totalLatency === undefined ? "" : durationMs(event.totalLatency).toFixed(0),
    formatDollars(event.costNanosUsd),
  ];
}

const moments: ReadonlyMap<number, string> = new Map([
  [TimelineKind.ATTEMPT_STARTED, "started"],
  [TimelineKind.FIRST_CONTENT, "first content"],
  [TimelineKind.ATTEMPT_ENDED, "ended"],
  [TimelineKind.RECORDED, "recorded"],
]);

function timelineLine({ time, kind, attemptIndex }: TimelineEntry): string {
  const ms = String(Math.trunc((time?.nanos ?? 0) / 1_000_000)).padStart(3, "0");
  return `${formatTime(time).replace("Z", `.${ms}Z`)}  attempt ${attemptIndex + 1} ${moments.get(kind) ?? ""}`;
}
