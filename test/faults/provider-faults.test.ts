import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { Outcome, type UsageEvent } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { chat, type GatewayReply } from "../harness/call-gateway.ts";
import { openAiChunks, sse } from "../harness/provider-answers.ts";
import { waitUntil } from "../harness/wait-until.ts";
import {
  completion,
  type ProviderFault,
  retryAfterForms,
  streamFaults,
  streamHead,
  wholeFaults,
} from "./provider-fault-cases.ts";
import { type RawProvider, rawAnswer, rawHead, startRawProvider } from "./raw-provider.ts";

const upstreamKey = "sk-upstream-0123456789abcdefghij";
const provider: RawProvider = await startRawProvider();
const elsewhere: RawProvider = await startRawProvider();
after(async () => {
  await provider.close();
  await elsewhere.close();
});

const names = new Map<string, ProviderFault>();
for (const [index, fault] of [...wholeFaults, ...streamFaults].entries()) {
  names.set(`fault-${index}`, fault);
}
const otherNames = ["subject", "cached", "stalled", "race"];

const config = (): string => `
providers:
  raw: { kind: openai, base_url: "${provider.url}/v1", api_key: "${upstreamKey}" }
models:
${[...names.keys(), ...otherNames].map(modelConfig).join("\n")}
prices:
  overrides:
${[...names.keys(), ...otherNames].map((name) => `    raw/${name}: { input: $1/M, output: $10/M }`).join("\n")}
cache: { exact: { ttl: 1m } }
`;

/** One attempt, so that the caller sees what came of it. */
function modelConfig(name: string): string {
  return `  ${name}:
    route: [ { target: raw/${name} } ]
    retry: { attempts: 1 }
    timeout: { first_token: 400ms, idle: 400ms, total: 2s }`;
}

inBothModes("faults of providers", config, (context) => {
  let target: { readonly url: string; readonly key: string };
  before(() => {
    target = { url: context.gateway.url, key: context.gateway.virtualKey };
    for (const [name, fault] of names) {
      provider.answer(name, fault.answer);
    }
  });

  for (const [name, fault] of names) {
    test(`never takes for good what comes from a provider that ${fault.name}`, async () => {
      const before = provider.requests.length;
      const reply = await ask(name, fault.stream === true ? { stream: true } : {});
      if (fault.expect === "cut") {
        checkCut(reply);
      } else {
        assert.equal(reply.status, fault.expect.status, reply.text.slice(0, 500));
        assert.equal(reply.json?.error?.code, fault.expect.code);
        assert.ok(reply.headers.has("x-should-retry"));
      }
      assert.equal(provider.requests.length, before + 1, "asked once");
      const [row] = await rowsOf(reply);
      assert.ok(row !== undefined);
      assert.equal(row.outcome, fault.expect === "cut" ? Outcome.TRUNCATED : Outcome.FAILED);
      assert.notEqual(row.errorReason, ErrorReason.UNSPECIFIED);
    });
  }

  /** Passes the cache by, so that each request reaches the provider. */
  function ask(model: string, more: object = {}): Promise<GatewayReply> {
    return chat(target, model, more, { "x-penstock-cache": "no-store" });
  }

  function checkCut(reply: GatewayReply): void {
    assert.equal(reply.status, 200, reply.text.slice(0, 500));
    assert.ok(reply.content.startsWith("one"), "what came before the fault is passed on");
    assert.ok(!reply.text.includes("[DONE]"), "a cut stream must not look complete");
    const last: unknown = JSON.parse(reply.events.at(-1) ?? "");
    assert.ok(typeof last === "object" && last !== null && "error" in last, reply.text.slice(-500));
    for (const event of reply.events) {
      JSON.parse(event);
    }
  }

  async function rowsOf(reply: GatewayReply): Promise<readonly UsageEvent[]> {
    return await context.gateway.waitForRequest(reply.requestId);
  }

  test("makes a stream of an answer in one piece", async () => {
    provider.answer("subject", rawAnswer(JSON.stringify(completion)));
    const reply = await ask("subject", { stream: true, stream_options: { include_usage: true } });
    assert.equal(reply.status, 200);
    assert.equal(reply.content, "Hello!");
    assert.equal(reply.events.at(-1), "[DONE]");
    assert.ok(reply.events.some((event) => event.includes('"finish_reason":"stop"')));
    assert.equal((await rowsOf(reply))[0]?.usage?.outputTokens, 5n);
  });

  test("passes on an event of 10 MB", async () => {
    const large = "x".repeat(10 * 1024 * 1024);
    provider.answer("patient", {
      parts: [streamHead, ...openAiChunks({ pieces: [large] }).map(sse), "data: [DONE]\n\n"],
      ending: "end",
    });
    // An open model has the usual timeouts.
    const reply = await ask("raw/patient", { stream: true });
    assert.equal(reply.content.length, large.length);
    assert.equal(reply.events.at(-1), "[DONE]");
  });

  test("replaces bytes that are no UTF-8", async () => {
    const broken = (text: string): Buffer =>
      Buffer.from(text.replace("Hello!", "a\u0000b")).map((byte) => (byte === 0 ? 0xff : byte)) as Buffer;
    provider.answer("subject", rawAnswer(broken(JSON.stringify(completion).replace("Hello!", "a\u0000b"))));
    const wholeBytes = await bodyOf("subject", {});
    assert.equal(new TextDecoder("utf-8", { fatal: true }).decode(wholeBytes).includes("a\ufffdb"), true);
    const chunks = openAiChunks({ pieces: ["Hello!"] })
      .map(sse)
      .join("");
    provider.answer("subject", { parts: [streamHead, broken(chunks), "data: [DONE]\n\n"], ending: "end" });
    const streamBytes = await bodyOf("subject", { stream: true });
    assert.equal(new TextDecoder("utf-8", { fatal: true }).decode(streamBytes).includes("a\ufffdb"), true);
  });

  async function bodyOf(model: string, more: object): Promise<Uint8Array> {
    const response = await fetch(`${target.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${target.key}`,
        "x-penstock-cache": "no-store",
      },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], ...more }),
    });
    assert.equal(response.status, 200);
    return new Uint8Array(await response.arrayBuffer());
  }

  for (const [name, usage] of Object.entries({
    "no usage": undefined,
    "null for usage": null,
    "a text for usage": "many",
    "negative usage": { prompt_tokens: -10, completion_tokens: -5, total_tokens: -15 },
    "words in its usage": { prompt_tokens: 10, completion_tokens: "many" },
    "a milliard of milliards of tokens": { prompt_tokens: 1e18, completion_tokens: 1e300 },
  })) {
    test(`counts by itself what a provider reports with ${name}`, async () => {
      provider.answer("subject", rawAnswer(JSON.stringify({ ...completion, usage })));
      const reply = await ask("subject");
      assert.equal(reply.status, 200);
      const [row] = await rowsOf(reply);
      assert.equal(row?.usage?.estimated, true);
      assert.ok(row.usage.uncachedInputTokens > 0n && row.usage.outputTokens > 0n);
      assert.ok(row.costNanosUsd > 0n && row.costNanosUsd < 1_000_000_000n);
    });
  }

  test("charges whole tokens where a provider reports texts and fractions", async () => {
    const usage = { prompt_tokens: "10", completion_tokens: 5.9 };
    provider.answer("subject", rawAnswer(JSON.stringify({ ...completion, usage })));
    const [row] = await rowsOf(await ask("subject"));
    assert.equal(row?.usage?.uncachedInputTokens, 10n);
    assert.equal(row.usage.outputTokens, 5n);
    assert.equal(row.usage.estimated, false);
  });

  test("never takes more of the prompt from the cache than there is", async () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 400 } };
    provider.answer("subject", rawAnswer(JSON.stringify({ ...completion, usage })));
    const [row] = await rowsOf(await ask("subject"));
    assert.equal(row?.usage?.cacheReadTokens, 10n);
    assert.equal(row.usage.uncachedInputTokens, 0n);
  });

  test("passes on an answer without choices as it is, but does not keep it", async () => {
    const empty = JSON.stringify({ ...completion, choices: [] });
    provider.answer("cached", rawAnswer(empty));
    const asked = provider.requests.length;
    const first = await chat(target, "cached");
    const second = await chat(target, "cached");
    assert.deepEqual([first.text, second.text], [empty, empty]);
    assert.equal(second.headers.get("x-penstock-cache"), "miss");
    assert.equal(provider.requests.length, asked + 2);
  });

  test("passes on an event that is no JSON as it is, and what follows", async () => {
    const events = openAiChunks({ pieces: ["one ", "two"] }).map(sse);
    events.splice(2, 0, "data: {nonsense}\n\n");
    provider.answer("subject", { parts: [streamHead, ...events, "data: [DONE]\n\n"], ending: "end" });
    const reply = await ask("subject", { stream: true });
    assert.ok(reply.events.includes("{nonsense}"));
    assert.equal(reply.content, "one two");
  });

  test("counts a stream without usage by itself", async () => {
    const chunks = openAiChunks({ pieces: ["one ", "two ", "three"] })
      .slice(0, -1)
      .map(sse);
    provider.answer("subject", { parts: [streamHead, ...chunks, "data: [DONE]\n\n"], ending: "end" });
    const reply = await ask("subject", { stream: true });
    assert.equal(reply.events.at(-1), "[DONE]");
    const [row] = await rowsOf(reply);
    assert.equal(row?.usage?.estimated, true);
    assert.ok(row.usage.outputTokens >= 3n);
  });

  test("does not follow a redirection", async () => {
    const accepted = elsewhere.acceptedSockets;
    for (const status of ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"]) {
      provider.answer("subject", {
        parts: [rawHead([`location: ${elsewhere.url}/v1`, "content-length: 0"], undefined, status)],
      });
      const reply = await ask("subject");
      assert.equal(reply.status, 502);
      assert.ok(!reply.text.includes(elsewhere.url));
    }
    assert.equal(elsewhere.acceptedSockets, accepted, "the key must not travel");
  });

  for (const [place, error] of Object.entries({
    "its message": { message: `Incorrect API key provided: ${upstreamKey}.`, type: "x", param: null, code: null },
    "its message, far behind": { message: `${"x".repeat(3_985)} ${upstreamKey}`, type: "x", param: null, code: null },
    "its code": { message: "no", type: "invalid_request_error", param: null, code: upstreamKey },
    "its param": { message: "no", type: "invalid_request_error", param: upstreamKey, code: null },
    "its type": { message: "no", type: upstreamKey, param: null, code: null },
  })) {
    for (const status of ["400 Bad", "401 No", "500 Oops", "200 OK"]) {
      test(`masks the provider's key in ${place}, with status ${status}`, async () => {
        const text = JSON.stringify({ error });
        provider.answer("subject", rawAnswer(text, { status }));
        const reply = await ask("subject");
        assert.ok(reply.status >= 400);
        assert.ok(!reply.text.includes(upstreamKey.slice(0, 15)), reply.text);
        provider.answer("subject", { parts: [streamHead, sse({ error })], ending: "end" });
        const streamed = await ask("subject", { stream: true });
        assert.ok(!streamed.text.includes(upstreamKey.slice(0, 15)), streamed.text);
        const begun = openAiChunks({ pieces: ["one"] })
          .slice(0, 2)
          .map(sse);
        provider.answer("subject", { parts: [streamHead, ...begun, 20, sse({ error })], ending: "end" });
        const cut = await ask("subject", { stream: true });
        assert.ok(!cut.text.includes("[DONE]"));
        assert.ok(!cut.text.includes(upstreamKey.slice(0, 15)), cut.text);
      });
    }
  }

  for (const { lines, atLeastMs, atMostMs } of retryAfterForms) {
    test(`tells the caller how long to wait for: ${lines.join(" and ")}`, async () => {
      provider.answer("subject", rawAnswer('{"error":{"message":"slow"}}', { status: "429 Slow", headers: lines }));
      const reply = await ask("subject");
      assert.equal(reply.status, 429);
      assert.equal(reply.headers.get("x-should-retry"), "true");
      const told = reply.headers.get("retry-after-ms");
      if (atLeastMs === undefined) {
        assert.equal(told, null);
        assert.equal(reply.headers.get("retry-after"), null);
        return;
      }
      assert.match(told ?? "", /^\d+$/);
      assert.ok(Number(told) >= atLeastMs && Number(told) <= (atMostMs ?? atLeastMs), `told ${told}`);
      assert.equal(reply.headers.get("retry-after"), String(Math.ceil(Number(told) / 1_000)));
    });
  }

  test("leaves no socket behind after 500 requests that were never answered", async () => {
    const agent = new http.Agent({ maxSockets: 500 });
    const statuses = await Promise.all(Array.from({ length: 500 }, () => statusOf(agent, "stalled")));
    agent.destroy();
    assert.deepEqual(new Set(statuses), new Set([504]));
    await waitUntil(
      () => provider.openSockets === 0,
      () => `the sockets to be closed: ${provider.openSockets} are open`,
    );
  });

  test("survives a provider that closes each connection after its answer without saying so", async () => {
    provider.answer("race", { ...rawAnswer(JSON.stringify(completion)), ending: "end" });
    const agent = new http.Agent({ maxSockets: 20, keepAlive: true });
    const statuses = await Promise.all(Array.from({ length: 500 }, () => statusOf(agent, "race")));
    agent.destroy();
    // A request that was written when the end of the connection was on its way may have been billed, so it is not
    // repeated here: the caller is told that it may.
    const bad = statuses.filter((status) => status !== 200);
    assert.ok(bad.length < 250 && bad.every((status) => status === 502), `${bad.length} failed: ${bad.join(", ")}`);
  });

  function statusOf(agent: http.Agent, model: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const request = http.request(`${target.url}/v1/chat/completions`, {
        method: "POST",
        agent,
        headers: {
          "content-type": "application/json",
          authorization: `Bearer ${target.key}`,
          "x-penstock-cache": "no-store",
        },
      });
      request.on("error", reject);
      request.on("response", (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("error", reject);
      });
      request.end(JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] }));
    });
  }
});
