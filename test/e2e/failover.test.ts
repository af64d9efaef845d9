import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { chat } from "../harness/call-gateway.ts";
import type { ScriptedAnswer } from "../harness/fake-provider.ts";
import {
  cutAfter,
  errorAnswer,
  goodAnswer,
  json,
  openAiChunks,
  openAiStream,
  silent,
  sse,
  stream,
} from "../harness/provider-answers.ts";

/** What a first target does wrong before its first token, and what the ledger must say of it. */
const failures: readonly {
  readonly name: string;
  readonly answer: ScriptedAnswer;
  readonly only?: "stream" | "whole";
  readonly reason: ErrorReason;
  readonly status: number;
}[] = [
  {
    name: "answers 429",
    // It asks for so short a rest that later tests find it awake.
    answer: errorAnswer(429, { "retry-after-ms": "1" }),
    reason: ErrorReason.UPSTREAM_RATE_LIMITED,
    status: 429,
  },
  { name: "answers 500", answer: errorAnswer(500), reason: ErrorReason.UPSTREAM_FAILED, status: 500 },
  { name: "answers 503", answer: errorAnswer(503), reason: ErrorReason.UPSTREAM_FAILED, status: 503 },
  { name: "says nothing", answer: silent, reason: ErrorReason.UPSTREAM_TIMEOUT, status: 0 },
  {
    name: "begins a body and goes silent before the first token",
    answer: {
      headers: { "content-type": "text/event-stream" },
      parts: openAiChunks({}).slice(0, 1).map(sse),
      ending: "stall",
    },
    only: "stream",
    reason: ErrorReason.UPSTREAM_TIMEOUT,
    status: 200,
  },
  {
    name: "cuts the stream before the first token",
    answer: {
      headers: { "content-type": "text/event-stream" },
      parts: openAiChunks({}).slice(0, 1).map(sse),
      ending: "cut",
    },
    only: "stream",
    reason: ErrorReason.UPSTREAM_TRUNCATED,
    status: 200,
  },
  {
    name: "ends the stream before the first token",
    answer: stream(openAiChunks({}).slice(0, 1)),
    only: "stream",
    reason: ErrorReason.UPSTREAM_TRUNCATED,
    status: 200,
  },
  {
    name: "cuts its document in the middle",
    answer: cutAfter(json({ choices: [], padding: "x".repeat(200) }), 50),
    only: "whole",
    reason: ErrorReason.UPSTREAM_TRUNCATED,
    status: 200,
  },
  { name: "resets the connection", answer: { ending: "reset" }, reason: ErrorReason.UPSTREAM_TRUNCATED, status: 0 },
  {
    name: "answers 200 with an error as its first event",
    answer: stream([{ error: { message: "overloaded", type: "server_error", code: null } }]),
    only: "stream",
    reason: ErrorReason.UPSTREAM_FAILED,
    status: 200,
  },
  {
    name: "answers 200 with a page of HTML",
    answer: { headers: { "content-type": "text/html" }, parts: ["<html>"] },
    reason: ErrorReason.UPSTREAM_MALFORMED,
    status: 200,
  },
];

inBothModes(
  "failover",
  ({ url }) => `
providers:
  first: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  second: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  nobody: { kind: openai-compatible, base_url: "http://127.0.0.1:9/v1", api_key: none }
models:
  safe: { route: [{ target: first/weak }], fallback: [strong], timeout: { first_token: 300ms } }
  strong: { route: [{ target: second/strong }] }
  alone: { route: [{ target: first/weak }], retry: { attempts: 3 }, timeout: { first_token: 300ms, idle: 300ms } }
  many:
    route: [{ target: first/a }, { target: first/b }, { target: first/c }, { target: first/d }, { target: first/e }]
    retry: { attempts: 3 }
  unreachable: { route: [{ target: nobody/x }], fallback: [strong] }
  slow: { route: [{ target: first/slow }], fallback: [strong] }
prices: { overrides: { second/strong: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    const target = () => ({ url: context.gateway.url, key: context.gateway.virtualKey });

    for (const failure of failures) {
      for (const kind of ["whole", "stream"] as const) {
        if (failure.only !== undefined && failure.only !== kind) {
          continue;
        }
        test(`the first target ${failure.name}: one good answer (${kind}) from the fallback`, async () => {
          context.provider.script("weak", failure.answer);
          context.provider.script("strong", (request) => goodAnswer(request, { text: "From the fallback." }));
          const reply = await chat(target(), "safe", { stream: kind === "stream" });
          assert.equal(reply.status, 200, reply.text);
          assert.equal(reply.content, "From the fallback.");
          assert.equal(reply.headers.get("x-penstock-provider"), "second");
          assert.equal(reply.headers.get("x-penstock-attempts"), "2");
          if (kind === "stream") {
            assert.equal(reply.events.filter((event) => event === "[DONE]").length, 1);
            assert.equal(reply.events.at(-1), "[DONE]");
          }
          const [failed, succeeded, ...others] = await context.gateway.waitForRequest(reply.requestId);
          assert.equal(others.length, 0);
          assert.deepEqual(
            [failed?.outcome, failed?.provider, failed?.attemptIndex, failed?.final, failed?.costNanosUsd],
            [Outcome.FAILED, "first", 0, false, 0n],
          );
          assert.deepEqual([failed?.errorReason, failed?.httpStatus], [failure.reason, failure.status]);
          assert.deepEqual(
            [succeeded?.outcome, succeeded?.provider, succeeded?.attemptIndex, succeeded?.final],
            [Outcome.SUCCEEDED, "second", 1, true],
          );
          assert.equal(succeeded?.costNanosUsd, 15_000n);
        });
      }
    }

    test("a provider that cannot be connected to is replaced by the fallback", async () => {
      const reply = await chat(target(), "unreachable");
      assert.equal(reply.status, 200, reply.text);
      const [failed] = await context.gateway.waitForRequest(reply.requestId);
      assert.equal(failed?.errorReason, ErrorReason.UPSTREAM_UNREACHABLE);
    });

    test("a request that is invalid is not tried elsewhere", async () => {
      context.provider.script("weak", errorAnswer(400));
      const before = context.provider.requestsOf("strong").length;
      const reply = await chat(target(), "safe");
      assert.equal(reply.status, 400);
      assert.equal(reply.headers.get("x-should-retry"), "false");
      assert.equal(context.provider.requestsOf("strong").length, before);
      const rows = await context.gateway.waitForRequest(reply.requestId);
      assert.deepEqual(
        rows.map((row) => [row.outcome, row.final]),
        [[Outcome.FAILED, true]],
      );
    });

    test("a stream that is cut after it began ends with an error and without the final marker", async () => {
      const whole = openAiStream({ pieces: ["One ", "two ", "three."], model: "weak" });
      context.provider.script("weak", { ...whole, parts: whole.parts?.slice(0, 3) ?? [], ending: "cut" });
      const before = context.provider.requestsOf("strong").length;
      const reply = await chat(target(), "safe", { stream: true });
      assert.equal(reply.status, 200);
      assert.equal(reply.content, "One two ");
      assert.ok(!reply.text.includes("[DONE]"), reply.text);
      const last: unknown = JSON.parse(reply.events.at(-1) ?? "");
      assert.ok(typeof last === "object" && last !== null && "error" in last, reply.text);
      assert.equal(context.provider.requestsOf("strong").length, before, "no second answer follows half of one");
      const rows = await context.gateway.waitForRequest(reply.requestId);
      assert.deepEqual(
        rows.map((row) => [row.outcome, row.final]),
        [[Outcome.TRUNCATED, true]],
      );
      assert.ok((rows[0]?.usage?.outputTokens ?? 0n) > 0n, "what came was counted");
    });

    test("a stream that goes silent after it began is ended with an error", async () => {
      const whole = openAiStream({ pieces: ["One ", "two."], model: "weak" });
      context.provider.script("weak", { ...whole, parts: whole.parts?.slice(0, 2) ?? [], ending: "stall" });
      const reply = await chat(target(), "alone", { stream: true });
      assert.equal(reply.content, "One ");
      assert.ok(!reply.text.includes("[DONE]"), reply.text);
      const rows = await context.gateway.waitForRequest(reply.requestId);
      assert.deepEqual(
        rows.map((row) => row.outcome),
        [Outcome.TRUNCATED],
      );
    });

    test("targets that fail are tried until the attempts are used up, and no longer", async () => {
      for (const model of ["a", "b", "c", "d", "e"]) {
        context.provider.script(model, errorAnswer(500));
      }
      const reply = await chat(target(), "many");
      assert.equal(reply.status, 502);
      assert.equal(reply.headers.get("x-should-retry"), "true");
      const rows = await context.gateway.waitForRequest(reply.requestId);
      assert.deepEqual(
        rows.map((row) => [row.attemptIndex, row.outcome, row.final]),
        [
          [0, Outcome.FAILED, false],
          [1, Outcome.FAILED, false],
          [2, Outcome.FAILED, true],
        ],
      );
      assert.equal(new Set(rows.map((row) => row.attemptId)).size, 3);
      assert.equal(new Set(rows.map((row) => row.model)).size, 3);
    });

    test("one target that is overloaded is tried again, within the same number of attempts", async () => {
      const before = context.provider.requestsOf("weak").length;
      context.provider.script("weak", errorAnswer(503), errorAnswer(503), (request) => goodAnswer(request));
      const good = await chat(target(), "alone");
      assert.equal(good.status, 200, good.text);
      assert.equal(good.headers.get("x-penstock-attempts"), "3");
      context.provider.script("weak", errorAnswer(503));
      const bad = await chat(target(), "alone");
      assert.equal(bad.status, 503);
      assert.equal(context.provider.requestsOf("weak").length - before, 6);
    });

    for (const kind of ["whole", "stream"] as const) {
      test(`the caller's own deadline ends the request, whatever could be tried next (${kind})`, async () => {
        context.provider.script("slow", silent);
        const before = context.provider.requestsOf("strong").length;
        const reply = await chat(target(), "slow", { stream: kind === "stream" }, { "x-penstock-timeout-ms": "200" });
        assert.equal(reply.status, 504, reply.text);
        assert.equal(reply.json?.error?.code, "upstream_timeout");
        assert.equal(context.provider.requestsOf("strong").length, before);
        const rows = await context.gateway.waitForRequest(reply.requestId);
        assert.deepEqual(
          rows.map((row) => [row.outcome, row.final]),
          [[Outcome.FAILED, true]],
        );
        const request = context.provider.requestsOf("slow").at(-1);
        assert.ok(request !== undefined);
        assert.equal((await context.provider.waitForClose(request)).closedBy, "peer");
      });
    }
  },
);
