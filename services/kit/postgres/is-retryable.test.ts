import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isConnectionLoss, isRetryable } from "./is-retryable.ts";

function coded(code: string): Error {
  return Object.assign(new Error("failed"), { code });
}

describe("isRetryable", () => {
  for (const code of [
    "40001",
    "40P01",
    "53300",
    "57P01",
    "57P02",
    "57P03",
    "08006",
    "08001",
    "ECONNREFUSED",
    "EPIPE",
  ]) {
    it(`says yes to ${code}`, () => assert.equal(isRetryable(coded(code)), true));
  }
  for (const code of ["23505", "22P02", "42P01", "57014", "ENOTFOUND"]) {
    it(`says no to ${code}`, () => assert.equal(isRetryable(coded(code)), false));
  }

  it("knows the errors that pg raises without a code", () => {
    assert.equal(isRetryable(new Error("Connection terminated unexpectedly")), true);
    assert.equal(isRetryable(new Error("something else")), false);
  });

  it("looks at every address that was tried", () => {
    assert.equal(isRetryable(new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")])), true);
    assert.equal(isRetryable(new AggregateError([coded("ECONNREFUSED"), coded("EACCES")])), false);
    assert.equal(isRetryable(new AggregateError([])), false);
  });

  it("says no to what is not an error", () => assert.equal(isRetryable("40001"), false));
});

describe("isConnectionLoss", () => {
  it("tells a broken connection from a conflict", () => {
    assert.equal(isConnectionLoss(coded("57P01")), true);
    assert.equal(isConnectionLoss(coded("ECONNRESET")), true);
    assert.equal(isConnectionLoss(coded("40001")), false);
  });
});
