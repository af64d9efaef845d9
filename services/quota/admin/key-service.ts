import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Key, KeySchema, type KeyService, type RotateKeyRequest } from "#gen/penstock/admin/v1/key_service_pb.ts";
import { createCredential } from "../key-credential.ts";
import type { Quota } from "../quota.ts";
import type { AdminStore, AdminTransaction } from "../store/admin-store.ts";
import { type BudgetStore, type KeyStore, keyBudgetId, type StoredKey } from "../store/store.ts";
import { requireFieldRoles, requireKeyPower } from "./authorize-key.ts";
import { auditOf, type Caller, callerOf, foundInScope, narrow } from "./caller.ts";
import { findKeyPlace, requireUser } from "./find-key-place.ts";
import { auditKey, mapKey, readKeyRole, readKeySettings } from "./key-messages.ts";
import { invalid, pageOf, readPageSize, readPageToken, readText, stored } from "./read-fields.ts";

/** What the service works with. */
export interface KeyServiceDeps {
  readonly keys: KeyStore;
  readonly admin: AdminStore;
  readonly budgets: BudgetStore;
  readonly quota: Quota;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

const usualGraceMs = 24 * 3_600_000;
const longestGraceMs = 30 * 24 * 3_600_000;

/**
 * Manages virtual keys and admin keys. Changes are told to the callers that watch the keys before the answer is sent.
 * What a role may do at all is checked before: `kit/auth/permissions.ts`.
 */
export function createKeyService(deps: KeyServiceDeps): ServiceImpl<typeof KeyService> {
  const { keys, admin, quota } = deps;

  const describe = async (found: readonly StoredKey[]): Promise<Key[]> => {
    // What this process holds in memory is told to the store first, so that its answer is what is spent now.
    const states = await stored(
      quota.tick().then(() => deps.budgets.readBudgets(found.map((key) => keyBudgetId(key.id)))),
    );
    return found.map((key) => mapKey(key, states.get(keyBudgetId(key.id))));
  };
  const describeOne = async (found: StoredKey): Promise<{ key: Key }> => {
    const [key] = await describe([found]);
    return { key: key ?? mapKey(found, undefined) };
  };
  const limitedTags = (): ReadonlySet<string> =>
    new Set(quota.book.rules.flatMap(({ scope }) => (scope.kind === "tag" ? [scope.tag] : [])));

  /** Changes one key that the caller may deal with; `work` gives the key unchanged where there is nothing to do. */
  const change = async (
    context: HandlerContext,
    keyId: string,
    work: (before: StoredKey, transaction: AdminTransaction, caller: Caller) => StoredKey | Promise<StoredKey>,
  ): Promise<StoredKey> => {
    const caller = callerOf(context);
    const changed = await stored(
      admin.change(async (transaction) => {
        const before = foundInScope(caller.actor, await transaction.getKey(keyId), (key) => key, "key");
        requireKeyPower(caller.actor, before);
        const after = await work(before, transaction, caller);
        if (after === before) {
          return before;
        }
        const saved = await transaction.saveKey(after);
        const target = { kind: "key", id: keyId, organizationId: saved.organizationId, teamId: saved.teamId } as const;
        await transaction.record(auditOf(caller, target, auditKey(before), auditKey(saved)));
        return saved;
      }),
    );
    quota.directory.put(changed);
    return changed;
  };

  return {
    async createKey(req, context) {
      const caller = callerOf(context);
      const { actor } = caller;
      const wanted = req.key ?? create(KeySchema);
      const settings = readKeySettings(wanted);
      const role = readKeyRole(wanted, wanted.admin, "owner");
      const call = { madeBy: actor.keyId, idempotencyKey: readText("idempotency_key", req.idempotencyKey) };
      const credential = createCredential();
      const made = await stored(
        admin.change(async (transaction) => {
          const earlier =
            call.idempotencyKey === "" ? undefined : await transaction.findKeyOfCall(call.madeBy, call.idempotencyKey);
          if (earlier !== undefined) {
            return { key: foundInScope(actor, earlier, (key) => key, "key"), secret: "" };
          }
          const place = await findKeyPlace(transaction, actor, wanted, undefined);
          await requireUser(transaction, actor, settings.userId, place);
          const key = {
            ...settings,
            ...place,
            id: credential.keyId,
            digest: credential.digest,
            admin: wanted.admin,
            role,
            fromEnvironment: false,
            createTimeMs: deps.wallClock(),
          };
          requireKeyPower(actor, key);
          const later = { revokeTimeMs: undefined, disableTimeMs: undefined, previous: undefined, revision: 1n };
          const usual = await findKeyPlace(transaction, actor, create(KeySchema), undefined);
          requireFieldRoles(
            actor,
            {
              ...key,
              ...later,
              ...usual,
              budgetNanosUsd: undefined,
              requestsPerMinute: undefined,
              tokensPerMinute: undefined,
              tags: {},
              // A key of the caller's own is nothing that takes more than the caller has.
              userId: settings.userId === actor.userId ? actor.userId : "",
              admin: false,
              role: undefined,
            },
            { ...key, ...later },
            limitedTags(),
          );
          const inserted = await transaction.insertKey(key, call);
          await transaction.record(
            auditOf(caller, { kind: "key", id: key.id, ...place }, undefined, auditKey(inserted)),
          );
          return { key: inserted, secret: credential.secret };
        }),
      );
      quota.directory.put(made.key);
      return { key: mapKey(made.key, undefined), secret: made.secret };
    },
    async getKey(req, context) {
      const { actor } = callerOf(context);
      return describeOne(foundInScope(actor, await stored(keys.getKey(req.keyId)), (key) => key, "key"));
    },
    async listKeys(req, context) {
      const place = narrow(callerOf(context).actor, req);
      const pageSize = readPageSize(req.pageSize);
      const cursor = readPageToken(req.pageToken, /^\[(\d{1,15}),"([0-9A-Za-z]{1,64})"\]$/);
      const after = cursor === undefined ? undefined : { createTimeMs: Number(cursor[1]), id: cursor[2] ?? "" };
      if (place === undefined) {
        return { keys: [], nextPageToken: "" };
      }
      const filter = { ...place, userId: req.userId, hideRevoked: req.hideRevoked };
      const found = await stored(keys.listKeys(pageSize + 1, after, filter));
      const { page, nextPageToken } = pageOf(found, pageSize, (last) => [last.createTimeMs, last.id]);
      return { keys: await describe(page), nextPageToken };
    },
    async updateKey(req, context) {
      const wanted = req.key;
      if (wanted === undefined || wanted.id === "") {
        throw invalid("key.id", "is required");
      }
      const settings = readKeySettings(wanted);
      return describeOne(
        await change(context, wanted.id, async (before, transaction, { actor }) => {
          const place = await findKeyPlace(transaction, actor, wanted, before);
          const role = readKeyRole(wanted, before.admin, before.role ?? "owner");
          const after: StoredKey = { ...before, ...settings, ...place, role };
          if (after.userId !== before.userId) {
            await requireUser(transaction, actor, after.userId, place);
          }
          requireKeyPower(actor, after);
          requireFieldRoles(actor, before, after, limitedTags());
          return after;
        }),
      );
    },
    async rotateKey(req, context) {
      const graceMs = readGrace(req);
      const credential = createCredential(req.keyId);
      const key = await change(context, req.keyId, (before) => {
        if (before.revokeTimeMs !== undefined || before.fromEnvironment) {
          throw invalid("key_id", before.fromEnvironment ? "is set by the environment" : "is revoked");
        }
        const { digest } = before;
        const previous = graceMs === 0 ? undefined : { digest, expireTimeMs: deps.wallClock() + graceMs };
        return { ...before, digest: credential.digest, previous };
      });
      return { ...(await describeOne(key)), secret: credential.secret };
    },
    async disableKey(req, context) {
      return describeOne(
        await change(context, req.keyId, (before) =>
          before.disableTimeMs === undefined ? { ...before, disableTimeMs: deps.wallClock() } : before,
        ),
      );
    },
    async enableKey(req, context) {
      return describeOne(
        await change(context, req.keyId, (before) =>
          before.disableTimeMs === undefined ? before : { ...before, disableTimeMs: undefined },
        ),
      );
    },
    async revokeKey(req, context) {
      return describeOne(
        await change(context, req.keyId, (before) =>
          before.revokeTimeMs === undefined ? { ...before, revokeTimeMs: deps.wallClock() } : before,
        ),
      );
    },
  };
}

function readGrace({ gracePeriod }: RotateKeyRequest): number {
  const graceMs = gracePeriod === undefined ? usualGraceMs : durationMs(gracePeriod);
  if (!(graceMs >= 0 && graceMs <= longestGraceMs)) {
    throw invalid("grace_period", "must be between 0 and 30 days");
  }
  return graceMs;
}
