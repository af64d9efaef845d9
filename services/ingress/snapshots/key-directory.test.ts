import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { type KeyRecord, KeyRecordSchema, KeyState, QuotaService } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";
import { KeyDirectory } from "./key-directory.ts";

const digest = (credential: string): Uint8Array => new Uint8Array(hash("sha256", credential, "buffer"));

function keyOf(credential: string, more: Partial<KeyRecord> = {}): KeyRecord {
  return Object.assign(
    create(KeyRecordSchema, { id: "key", digest: digest(credential), state: KeyState.ACTIVE, revision: 1n }),
    more,
  );
}

/** A directory that looks keys up one by one; `answer` is what quota knows. */
function open(answer: () => KeyRecord | undefined) {
  const clock = { nowMs: 1_000 };
  const transport = createRouterTransport(({ rpc }) => {
    rpc(QuotaService.method.resolveKey, () => {
      const key = answer();
      if (key === undefined) {
        throw gatewayError(ErrorReason.NOT_FOUND, "no key");
      }
      return { key };
    });
  });
  const directory = new KeyDirectory({
    quota: createClient(QuotaService, transport),
    now: () => clock.nowMs,
    monotonicNow: () => clock.nowMs,
    onLost: () => undefined,
  });
  return { directory, clock };
}

const isInvalidKey = (error: unknown): boolean => errorDetailOf(error).reason === ErrorReason.INVALID_API_KEY;

test("takes both credentials of a rotated key until the older one ends", async () => {
  const rotated = keyOf("new", { previousDigest: digest("old"), previousExpireTime: timestampFromMs(2_000) });
  const { directory, clock } = open(() => rotated);
  assert.equal((await directory.find("new")).id, "key");
  assert.equal((await directory.find("old")).id, "key");
  clock.nowMs = 2_000;
  assert.equal((await directory.find("new")).id, "key");
  assert.throws(() => directory.find("old"), isInvalidKey);
});

test("forgets a credential that a key has no longer", async () => {
  let known: KeyRecord | undefined = keyOf("first");
  const { directory } = open(() => known);
  await directory.find("first");
  known = keyOf("second", { revision: 2n });
  await directory.find("second");
  known = undefined;
  await assert.rejects(async () => directory.find("first"), isInvalidKey);
});

test("keeps the later revision of a key, whatever arrives after it", async () => {
  let known = keyOf("new", { revision: 3n, state: KeyState.DISABLED, previousDigest: digest("old") });
  const { directory } = open(() => known);
  await assert.rejects(async () => directory.find("new"), isInvalidKey);
  // Another process of quota that has not heard of the change yet.
  known = keyOf("older", { revision: 2n });
  await assert.rejects(async () => directory.find("older"), isInvalidKey);
  await assert.rejects(async () => directory.find("new"), isInvalidKey);
});

test("refuses a key that is disabled or revoked", async () => {
  for (const state of [KeyState.DISABLED, KeyState.REVOKED, KeyState.UNSPECIFIED]) {
    const { directory } = open(() => keyOf("secret", { state }));
    await assert.rejects(async () => directory.find("secret"), isInvalidKey);
  }
});
