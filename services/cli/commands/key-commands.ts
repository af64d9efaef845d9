import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  CreateKeyResponseSchema,
  GetKeyResponseSchema,
  type Key,
  KeySchema,
  KeyService,
  ListKeysResponseSchema,
  RotateKeyResponseSchema,
} from "#gen/penstock/admin/v1/key_service_pb.ts";
import { create } from "@bufbuild/protobuf";
import { allPages, type ApiOptions, openApi, withApiOptions } from "./call-api.ts";
import { formatFacts, formatTable } from "./format-table.ts";
import { formatDollars } from "#kit/money/format-dollars.ts";
import { formatTime } from "./format-time.ts";
import {
  readCount,
  readDuration,
  readMoney,
  readRole,
  readTagOptions,
  readTimeOption,
  repeated,
  roleName,
} from "./read-options.ts";

interface KeyOptions extends ApiOptions {
  readonly name?: string;
  readonly organization?: string;
  readonly team?: string;
  readonly user?: string;
  readonly model?: readonly string[];
  readonly budget?: string;
  readonly rpm?: string;
  readonly tpm?: string;
  readonly expires?: string;
  readonly tag?: readonly string[];
  readonly serviceAccount?: boolean;
  readonly logBodies?: boolean;
  readonly admin?: true;
  readonly role?: string;
  readonly idempotencyKey?: string;
}

interface ListOptions extends ApiOptions {
  readonly organization?: string;
  readonly team?: string;
  readonly user?: string;
  readonly all?: true;
}

/** Adds `penstock keys …`. */
export function addKeyCommands(program: Command): void {
  const keys = program.command("keys").description("virtual keys and admin keys");
  withSettings(keys.command("create").description("make a key and print its secret, once"))
    .option("--admin", "make an admin key")
    .option("--idempotency-key <name>", "make at most one key under this name")
    .action(async (options: KeyOptions) => {
      const api = openApi(options);
      const { key, secret } = await api.client(KeyService).createKey({
        key: Object.assign(create(KeySchema), readSettings(options), { admin: options.admin ?? false }),
        ...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
      });
      const answer = create(CreateKeyResponseSchema, { secret, ...(key === undefined ? {} : { key }) });
      api.print(CreateKeyResponseSchema, answer, () =>
        formatFacts([
          ["id", key?.id ?? ""],
          ["secret", secret === "" ? "shown when the key was made" : secret],
        ]),
      );
    });
  withApiOptions(keys.command("list").description("list keys, newest first"))
    .option("--organization <id>", "only those of an organisation")
    .option("--team <id>", "only those of a team")
    .option("--user <id>", "only those of a user")
    .option("--all", "also those that were revoked")
    .action(async (options: ListOptions) => {
      const api = openApi(options);
      const client = api.client(KeyService);
      const found = await allPages(async (pageToken) => {
        const page = await client.listKeys({
          pageSize: 1_000,
          pageToken,
          organizationId: options.organization ?? "",
          teamId: options.team ?? "",
          userId: options.user ?? "",
          hideRevoked: options.all !== true,
        });
        return { items: page.keys, nextPageToken: page.nextPageToken };
      });
      api.print(ListKeysResponseSchema, create(ListKeysResponseSchema, { keys: [...found] }), () => keyTable(found));
    });
  withApiOptions(keys.command("show").description("show a key").argument("<id>", "its id")).action(
    async (keyId: string, options: ApiOptions) => {
      const api = openApi(options);
      const answer = await api.client(KeyService).getKey({ keyId });
      api.print(GetKeyResponseSchema, answer, () => keyFacts(answer.key));
    },
  );
  withSettings(keys.command("update").description("change what is given of a key").argument("<id>", "its id"))
    .option("--no-budget", "take the budget away")
    .option("--no-service-account", "make it a person's key")
    .option("--no-log-bodies", "keep no requests and answers")
    .action(async (keyId: string, options: KeyOptions) => {
      const api = openApi(options);
      const client = api.client(KeyService);
      const { key } = await client.getKey({ keyId });
      const changed = Object.assign(key ?? create(KeySchema), readSettings(options));
      // Commander gives false for --no-budget.
      if ((options.budget as unknown) === false) {
        delete changed.budgetNanosUsd;
      }
      const answer = await client.updateKey({ key: changed });
      api.print(
        GetKeyResponseSchema,
        create(GetKeyResponseSchema, answer.key === undefined ? {} : { key: answer.key }),
        () => keyFacts(answer.key),
      );
    });
  withApiOptions(
    keys.command("rotate").description("give a key another secret, printed once").argument("<id>", "its id"),
  )
    .option("--grace <span>", "how long the secret before goes on working", "24h")
    .action(async (keyId: string, options: ApiOptions & { readonly grace: string }) => {
      const api = openApi(options);
      const gracePeriod = durationFromMs(readDuration("--grace", options.grace));
      const answer = await api.client(KeyService).rotateKey({ keyId, gracePeriod });
      api.print(RotateKeyResponseSchema, answer, () =>
        formatFacts([
          ["id", keyId],
          ["secret", answer.secret],
          ["older secret ends", formatTime(answer.key?.previousSecretExpireTime)],
        ]),
      );
    });
  for (const [name, description, method] of [
    ["disable", "refuse a key until it is enabled again", "disableKey"],
    ["enable", "take a disabled key again", "enableKey"],
    ["revoke", "end a key for good", "revokeKey"],
  ] as const) {
    withApiOptions(keys.command(name).description(description).argument("<id>", "its id")).action(
      async (keyId: string, options: ApiOptions) => {
        const api = openApi(options);
        const { key } = await api.client(KeyService)[method]({ keyId });
        api.print(GetKeyResponseSchema, create(GetKeyResponseSchema, key === undefined ? {} : { key }), () =>
          keyFacts(key),
        );
      },
    );
  }
}

function withSettings(command: Command): Command {
  return withApiOptions(command)
    .option("--name <text>", "what people call it")
    .option("--organization <id>", "the organisation that it belongs to")
    .option("--team <id>", "the team that it belongs to")
    .option("--user <id>", "the user whose it is")
    .option("--model <pattern>", "a model that it may use, such as gpt-*; may be repeated", repeated)
    .option("--budget <dollars>", "the most that it may spend, ever")
    .option("--rpm <count>", "the most requests a minute")
    .option("--tpm <count>", "the most tokens a minute")
    .option("--expires <time>", "when it ends: 2027-01-31, or 30d from now")
    .option("--tag <name=value>", "a tag of all its requests; may be repeated", repeated)
    .option("--service-account", "it belongs to a program")
    .option("--log-bodies", "requests and answers may be kept")
    .option("--role <role>", "what an admin key may do: owner, admin, editor or viewer");
}

function readSettings(options: KeyOptions): Partial<Key> {
  const { budget, rpm, tpm, expires } = options;
  return {
    ...(options.name === undefined ? {} : { displayName: options.name }),
    ...(options.organization === undefined ? {} : { organizationId: options.organization }),
    ...(options.team === undefined ? {} : { teamId: options.team }),
    ...(options.user === undefined ? {} : { userId: options.user }),
    ...(options.model === undefined ? {} : { allowedModels: [...options.model] }),
    ...(typeof budget === "string" ? { budgetNanosUsd: readMoney("--budget", budget) } : {}),
    ...(rpm === undefined ? {} : { requestsPerMinute: readCount("--rpm", rpm) }),
    ...(tpm === undefined ? {} : { tokensPerMinute: readCount("--tpm", tpm) }),
    ...(expires === undefined ? {} : { expireTime: readTimeOption("--expires", expires, Date.now()) }),
    ...(options.tag === undefined ? {} : { tags: readTagOptions(options.tag) }),
    ...(options.serviceAccount === undefined ? {} : { serviceAccount: options.serviceAccount }),
    ...(options.logBodies === undefined ? {} : { logBodies: options.logBodies }),
    ...(options.role === undefined ? {} : { role: readRole(options.role) }),
  };
}

function keyTable(keys: readonly Key[]): string {
  return formatTable(
    [
      { title: "ID" },
      { title: "NAME" },
      { title: "ORGANIZATION" },
      { title: "TEAM" },
      { title: "STATE" },
      { title: "SPENT", right: true },
      { title: "BUDGET", right: true },
      { title: "CREATED" },
    ],
    keys.map((key) => [
      key.id,
      key.displayName,
      key.organizationId,
      key.teamId,
      stateOf(key),
      formatDollars(key.spentNanosUsd),
      key.budgetNanosUsd === undefined ? "" : formatDollars(key.budgetNanosUsd),
      formatTime(key.createTime),
    ]),
  );
}

function keyFacts(key: Key | undefined): string {
  if (key === undefined) {
    return "";
  }
  return formatFacts([
    ["id", key.id],
    ["name", key.displayName],
    ["state", stateOf(key)],
    ["role", roleName(key.role)],
    ["organization", key.organizationId],
    ["team", key.teamId],
    ["user", key.userId],
    ["models", key.allowedModels.join(" ")],
    ["budget", key.budgetNanosUsd === undefined ? "" : formatDollars(key.budgetNanosUsd)],
    ["spent", formatDollars(key.spentNanosUsd)],
    ["held", formatDollars(key.heldNanosUsd)],
    ["requests a minute", key.requestsPerMinute?.toString() ?? ""],
    ["tokens a minute", key.tokensPerMinute?.toString() ?? ""],
    [
      "tags",
      Object.entries(key.tags)
        .map(([name, value]) => `${name}=${value}`)
        .join(" "),
    ],
    ["service account", key.serviceAccount ? "yes" : ""],
    ["bodies", key.logBodies ? "may be kept" : ""],
    ["created", formatTime(key.createTime)],
    ["expires", formatTime(key.expireTime)],
    ["older secret ends", formatTime(key.previousSecretExpireTime)],
  ]);
}

function stateOf({ revoked, disabled, admin }: Key): string {
  const state = revoked ? "revoked" : disabled ? "disabled" : "active";
  return admin ? `${state} (admin)` : state;
}
