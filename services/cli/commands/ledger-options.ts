import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { type RequestFilter, RequestFilterSchema } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { type Outcome, OutcomeSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { type ApiOptions, withApiOptions } from "./call-api.ts";
import { readDuration } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

/** The options that choose requests of the ledger. */
export interface LedgerOptions extends ApiOptions {
  readonly organization?: string;
  readonly team?: string;
  readonly key?: string;
  readonly user?: string;
  readonly provider?: string;
  readonly model?: string;
  readonly requestedModel?: string;
  readonly outcome?: string;
  readonly tag?: string;
  readonly since?: string;
  readonly until?: string;
}

/** Adds the options that choose requests. */
export function withLedgerOptions(command: Command): Command {
  return withApiOptions(command)
    .option("--organization <id>", "only those of an organisation")
    .option("--team <id>", "only those of a team")
    .option("--key <id>", "only those of a key")
    .option("--user <id>", "only those of a user")
    .option("--provider <name>", "only those at a provider")
    .option("--model <name>", "only those of a model, as the provider names it")
    .option("--requested-model <name>", "only those of a model, as callers name it")
    .option("--outcome <name>", `only those that ended so: ${outcomes.map(([name]) => name).join(", ")}`)
    .option("--tag <name[=value]>", "only those with a tag")
    .option("--since <time>", "from when: 2027-01-31, or 30d for so long ago")
    .option("--until <time>", "until when");
}

/** Reads what was chosen. Throws UsageError. */
export function readLedgerFilter(options: LedgerOptions): RequestFilter {
  const [tagName = "", ...value] = options.tag?.split("=") ?? [];
  const outcome = outcomes.find(([name]) => name === options.outcome)?.[1];
  if (options.outcome !== undefined && outcome === undefined) {
    throw new UsageError(
      `--outcome: there is no ${options.outcome}; there are: ${outcomes.map(([name]) => name).join(", ")}`,
    );
  }
  return create(RequestFilterSchema, {
    organizationId: options.organization ?? "",
    teamId: options.team ?? "",
    keyId: options.key ?? "",
    userId: options.user ?? "",
    provider: options.provider ?? "",
    model: options.model ?? "",
    requestedModel: options.requestedModel ?? "",
    ...(outcome === undefined ? {} : { outcome }),
    tagName,
    tagValue: value.join("="),
  });
}

/** Reads a time: one such as `2027-01-31`, or a span before now such as `30d`. Throws UsageError. */
function readPastOption(option: string, text: string, nowMs: number): Timestamp {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : nowMs - readDuration(option, text);
  if (!Number.isFinite(ms)) {
    throw new UsageError(`${option}: expected a time such as 2027-01-31 or 30d`);
  }
  return timestampFromMs(ms);
}

/** Reads the range of time that was chosen. */
export function readPeriod(options: LedgerOptions): { readonly startTime?: Timestamp; readonly endTime?: Timestamp } {
  const { since, until } = options;
  return {
    ...(since === undefined ? {} : { startTime: readPastOption("--since", since, Date.now()) }),
    ...(until === undefined ? {} : { endTime: readPastOption("--until", until, Date.now()) }),
  };
}

/** The name of an outcome on the command line. */
export function outcomeName(outcome: number): string {
  return outcomes.find(([, number]) => number === outcome)?.[0] ?? String(outcome);
}

const outcomes = OutcomeSchema.values
  .filter((value) => value.number !== 0)
  // The numbers of an enumeration's values are its values.
  .map((value) => [value.localName.toLowerCase().replaceAll("_", "-"), value.number as Outcome] as const);
