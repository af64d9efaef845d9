import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import type { Gateway } from "../harness/start-gateway.ts";
import { goodBody, type HostileCase, type HostileKeys, type HostileOutcome, rawRequest } from "./hostile-case.ts";
import { jsonCases, oddJsonCases } from "./hostile-json.ts";
import { oddParameterCases, parameterCases } from "./hostile-parameters.ts";
import { authenticationCases, pathCases } from "./hostile-requests.ts";
import { maxBodyBytes, transportCases } from "./hostile-transport.ts";
import { type RawReply, sendRaw } from "./raw-http.ts";

const upstreamKey = "sk-upstream-0123456789abcdefghij";
const tenDollars = 10_000_000_000n;

inBothModes("hostile input", config, (context) => {
  let keys: HostileKeys;
  let goodKeyId: string;
  const bystander = createServer();
  let visits = 0;
  let senders = 1;
  /** Failures of one address are counted: each case comes from another. */
  const nextAddress = (): string => {
    senders += 1;
    return `127.0.${Math.floor(senders / 250)}.${(senders % 250) + 1}`;
  };

  before(async () => {
    const { gateway } = context;
    const good = await gateway.createKey({ budgetNanosUsd: tenDollars });
    const revoked = await gateway.createKey();
    await gateway.admin.keys.revokeKey({ keyId: revoked.key.id });
    goodKeyId = good.key.id;
    bystander.on("connection", (socket) => {
      visits += 1;
      socket.destroy();
    });
    bystander.listen(0, "127.0.0.1");
    await once(bystander, "listening");
    const address = bystander.address();
    keys = {
      bystander: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
      good: good.secret,
      other: gateway.virtualKey,
      revoked: revoked.secret,
      narrow: (await gateway.createKey({ allowedModels: ["another"] })).secret,
      poor: (await gateway.createKey({ budgetNanosUsd: 1n })).secret,
      admin: gateway.adminKey,
    };
  });
  after(() => void bystander.close());

  for (const hostile of [...authenticationCases, ...pathCases, ...transportCases, ...jsonCases, ...parameterCases]) {
    test(`refuses ${hostile.name}`, () => checkRefused(hostile));
  }
  for (const odd of [...oddJsonCases, ...oddParameterCases]) {
    test(`passes on ${odd.name}`, () => checkPassedOn(odd.send));
  }

  async function checkRefused(hostile: HostileCase): Promise<void> {
    const { gateway, provider } = context;
    const calls = provider.requests.length;
    const pids = pidsOf(gateway);
    const { spentNanosUsd } = await gateway.getKey(goodKeyId);
    const [reply] = await sendRaw(gateway.url, hostile.send(keys), {
      localAddress: nextAddress(),
      halfClose: hostile.halfClose ?? false,
    });
    assert.ok(reply !== undefined, "the connection was closed without an answer");
    checkReply(reply, hostile.expect);
    checkSecrets(reply.body);
    assert.equal(provider.requests.length, calls, "the provider was called");
    await checkAlive(gateway, pids);
    await checkNothingHeld(spentNanosUsd);
  }

  async function checkPassedOn(send: HostileCase["send"]): Promise<void> {
    const { gateway, provider } = context;
    const calls = provider.requests.length;
    const pids = pidsOf(gateway);
    // A key without a budget may use models without a price.
    const [reply] = await sendRaw(gateway.url, send({ ...keys, good: gateway.virtualKey }));
    assert.ok(reply !== undefined, "the connection was closed without an answer");
    assert.equal(reply.status, 200, reply.body);
    checkSecrets(reply.body);
    assert.equal(provider.requests.length, calls + 1);
    const rows = await gateway.waitForRequest(reply.headers.get("x-request-id") ?? "");
    assert.deepEqual(
      rows.map((row) => row.outcome),
      [Outcome.SUCCEEDED],
    );
    assert.equal(visits, 0, "an address of the request was asked");
    await checkAlive(gateway, pids);
  }

  async function checkNothingHeld(spentBefore: bigint): Promise<void> {
    const key = await context.gateway.getKey(goodKeyId);
    assert.equal(key.heldNanosUsd, 0n, "something stays held");
    assert.equal(key.spentNanosUsd, spentBefore, "something was spent");
  }

  function checkSecrets(body: string): void {
    for (const [name, secret] of Object.entries({ ...keys, upstream: upstreamKey })) {
      assert.ok(!body.includes(secret), `the body has the key ${name}`);
    }
    assert.doesNotMatch(body, /\n\s+at |node:|\.ts\b|services\/|\/tmp\/|127\.0\.0\.1/, "the body tells of our insides");
  }

  test("slows down who guesses keys, and nobody else", async () => {
    const { gateway } = context;
    const localAddress = nextAddress();
    const guess = (key: string): Promise<readonly RawReply[]> =>
      sendRaw(gateway.url, rawRequest({ key, body: goodBody }), { localAddress });
    for (let index = 0; index < 20; index += 1) {
      assert.equal((await guess(`wrong-${index}`))[0]?.status, 401);
    }
    const [refused] = await guess("wrong-again");
    assert.equal(refused?.status, 429);
    assert.match(refused?.headers.get("retry-after") ?? "", /^[1-9]\d?$/);
    assert.equal((await guess(keys.other))[0]?.status, 200);
    const [elsewhere] = await sendRaw(gateway.url, rawRequest({ key: "wrong", body: goodBody }), {
      localAddress: nextAddress(),
    });
    assert.equal(elsewhere?.status, 401);
  });

  test("answers pipelined requests in their order, good and bad", async () => {
    const { gateway } = context;
    const models = ["plain", "missing", "plain", "", "plain"];
    const bodies = Array.from({ length: 50 }, (_, index) =>
      JSON.stringify({ ...JSON.parse(goodBody), model: models[index % 5] }),
    );
    const replies = await sendRaw(
      gateway.url,
      bodies.flatMap((body) => rawRequest({ key: keys.other, body })),
      { replies: bodies.length },
    );
    assert.deepEqual(
      replies.map((reply) => reply.status),
      bodies.map((_, index) => [200, 404, 200, 400, 200][index % 5]),
    );
    assert.equal(new Set(replies.map((reply) => reply.headers.get("x-request-id"))).size, bodies.length);
  });

  test("keeps what a caller says about itself to itself", async () => {
    const { gateway, provider } = context;
    const headers = [
      "x-request-id: mine",
      "x-tenant-id: other",
      "x-forwarded-user: root",
      "connect-timeout-ms: 1",
      "grpc-timeout: 1n",
      "cookie: session=1",
      "openai-organization: org",
      "anthropic-version: 2023-06-01",
      "x-amz-security-token: t",
      "traceparent: 00-zz-zz-01",
      `baggage: ${"b".repeat(8_000)}`,
      "accept: text/html",
      "range: bytes=0-1",
    ];
    const [reply] = await sendRaw(gateway.url, rawRequest({ key: keys.other, headers, body: goodBody }));
    assert.equal(reply?.status, 200);
    assert.match(reply.headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
    const sent = provider.requests.at(-1)?.headers ?? {};
    for (const name of headers.map((line) => line.slice(0, line.indexOf(":"))).filter((name) => name !== "accept")) {
      assert.equal(sent[name], undefined, `${name} reached the provider`);
    }
    assert.equal(sent["authorization"], `Bearer ${upstreamKey}`);
  });

  test("outlives an HTTP/2 connection that speaks nonsense", async () => {
    const { gateway } = context;
    const pids = pidsOf(gateway);
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    await sendRaw(gateway.url, [preface, "\xff".repeat(1_000)], { replies: 0 });
    await sendRaw(gateway.url, [preface.slice(0, 16), 20, "nonsense\r\n\r\n"], { halfClose: true });
    await checkAlive(gateway, pids);
  });
});

function config(provider: FakeProvider): string {
  return `
server: { max_body: ${maxBodyBytes} }
providers:
  fake: { kind: openai, base_url: "${provider.url}/v1", api_key: "${upstreamKey}" }
models:
  plain: { route: [ { target: fake/plain } ] }
  another: { route: [ { target: fake/another } ] }
prices:
  overrides:
    fake/plain: { input: $1/M, output: $10/M }
    fake/another: { input: $1/M, output: $10/M }
`;
}

function checkReply(reply: RawReply, expected: HostileOutcome): void {
  const intact = expected.intact ?? "request";
  assert.equal(reply.status, expected.status, reply.body);
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    assert.equal(reply.headers.get(name), value);
  }
  if (intact === "head") {
    assert.equal(reply.headers.get("connection"), "close");
    return;
  }
  const body: unknown = JSON.parse(reply.body);
  if (intact === "connect") {
    assert.ok(typeof body === "object" && body !== null && "code" in body && "message" in body);
    return;
  }
  assert.ok(typeof body === "object" && body !== null && "error" in body);
  const { error } = body;
  assert.ok(typeof error === "object" && error !== null);
  // A limit that refuses says which it is, beside what OpenAI's errors have.
  const refused = expected.status === 429 ? ["limit"] : [];
  assert.deepEqual(Object.keys(error).toSorted(), ["code", ...refused, "message", "param", "type"]);
  assert.ok("message" in error && typeof error.message === "string" && error.message !== "");
  assert.ok(error.message.length < 1_000, "the message repeats the input");
  assert.equal("type" in error && error.type, expected.type ?? "invalid_request_error");
  assert.equal(reply.headers.get("x-should-retry"), "false");
  if (intact === "connection") {
    assert.equal(reply.headers.get("connection"), "close");
    return;
  }
  assert.equal("param" in error && error.param, expected.param ?? null);
  if (expected.code !== undefined) {
    assert.equal("code" in error && error.code, expected.code);
  }
  assert.match(reply.headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
}

function pidsOf(gateway: Gateway): readonly number[] {
  return [...gateway.processes.values()].map((process) => process.pid);
}

async function checkAlive(gateway: Gateway, pids: readonly number[]): Promise<void> {
  assert.ok(
    [...gateway.processes.values()].every((process) => process.running),
    "a process has ended",
  );
  assert.deepEqual(pidsOf(gateway), pids);
  const response = await fetch(`${gateway.url}/healthz`);
  await response.arrayBuffer();
  assert.equal(response.status, 200);
}
