import assert from "node:assert/strict";
import { test } from "node:test";
import { type Actor, actorHeaders, isAtLeast, readActor } from "./actor.ts";

test("an actor crosses in a header field, whatever its ids hold", () => {
  const actor: Actor = { keyId: "k", userId: "ü\n", role: "editor", organizationId: "o", teamId: "" };
  assert.deepEqual(readActor(new Headers(actorHeaders(actor))), actor);
  assert.equal(readActor(new Headers()), undefined);
});

test("a role may do what lesser ones may", () => {
  assert.ok(isAtLeast("owner", "viewer") && isAtLeast("editor", "editor"));
  assert.ok(!isAtLeast("viewer", "editor") && !isAtLeast("admin", "owner"));
});
