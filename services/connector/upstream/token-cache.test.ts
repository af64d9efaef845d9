import assert from "node:assert/strict";
import { test } from "node:test";
import { createTokenCache, type ExpiringToken } from "./token-cache.ts";

const hourMs = 3_600_000;

/** A source whose answers the test gives, and a clock that it moves. */
function createSource() {
  const asked: PromiseWithResolvers<ExpiringToken>[] = [];
  let nowMs = 0;
  const tokenOf = createTokenCache({
    fetchToken: () => {
      const answer = Promise.withResolvers<ExpiringToken>();
      asked.push(answer);
      return answer.promise;
    },
    now: () => nowMs,
  });
  return {
    asked,
    tokenOf,
    advance: (ms: number): void => {
      nowMs += ms;
    },
    answer: (place: number, token: string): void => asked[place]?.resolve({ token, expiresAtMs: nowMs + hourMs }),
  };
}

test("asks once for all who wait, and not again while the token is good", async () => {
  const source = createSource();
  const waiting = [source.tokenOf(), source.tokenOf(), source.tokenOf()];
  source.answer(0, "one");
  assert.deepEqual(await Promise.all(waiting), ["one", "one", "one"]);
  source.advance(hourMs - 5 * 60_000);
  assert.equal(await source.tokenOf(), "one");
  assert.equal(source.asked.length, 1);
});

test("renews ahead of the end while the old token is used", async () => {
  const source = createSource();
  const first = source.tokenOf();
  source.answer(0, "one");
  await first;
  source.advance(hourMs - 3 * 60_000);
  assert.equal(await source.tokenOf(), "one");
  assert.equal(await source.tokenOf(), "one");
  assert.equal(source.asked.length, 2);
  source.answer(1, "two");
  await source.asked[1]?.promise;
  assert.equal(await source.tokenOf(), "two");
});

test("goes on with a good token when a renewal fails, tries again later, and fails when none is left", async () => {
  const source = createSource();
  const first = source.tokenOf();
  source.answer(0, "one");
  await first;
  source.advance(hourMs - 3 * 60_000);
  assert.equal(await source.tokenOf(), "one");
  source.asked[1]?.reject(new Error("nobody there"));
  await source.asked[1]?.promise.catch(() => undefined);
  await Promise.resolve();
  assert.equal(await source.tokenOf(), "one");
  assert.equal(source.asked.length, 2);
  source.advance(11_000);
  assert.equal(await source.tokenOf(), "one");
  assert.equal(source.asked.length, 3);
  source.asked[2]?.reject(new Error("nobody there"));
  await source.asked[2]?.promise.catch(() => undefined);
  source.advance(3 * 60_000);
  const last = source.tokenOf();
  source.asked[3]?.reject(new Error("still nobody there"));
  await assert.rejects(last, /still nobody there/);
  const again = source.tokenOf();
  source.answer(4, "two");
  assert.equal(await again, "two");
});
