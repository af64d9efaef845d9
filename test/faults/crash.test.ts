import assert from "node:assert/strict";
import { test } from "node:test";
import { inMode, type ModeContext } from "../harness/both-modes.ts";
import type { CallTarget } from "../harness/call-gateway.ts";
import type { FakeProvider } from "../harness/fake-provider.ts";
import { goodAnswer } from "../harness/provider-answers.ts";
import { type CallRecord, sendLoad } from "./call-history.ts";
import { checkBudget, checkLedger, outliveLeases } from "./check-ledger.ts";

const config = ({ url }: FakeProvider): string => `
providers:
  fake: { kind: openai, base_url: "${url}/v1", api_key: none }
models:
  plain: { route: [ { target: fake/plain } ], retry: { attempts: 1 } }
prices: { overrides: { fake/plain: { input: $1/M, output: $10/M } } }
quota: { hold_ttl: 5s, idle: 2s }
`;

const total = 2_000;

interface Callers {
  readonly targets: readonly CallTarget[];
  readonly budgetKeyId: string;
  readonly keyIds: readonly string[];
}

/** A key with a hard budget and one without, so that both ways of recording are seen. */
async function makeCallers({ gateway }: ModeContext): Promise<Callers> {
  const budget = await gateway.createKey({ budgetNanosUsd: 1_000_000_000_000n });
  const plain = await gateway.createKey();
  return {
    targets: [budget, plain].map(({ secret }) => ({ url: gateway.url, key: secret })),
    budgetKeyId: budget.key.id,
    keyIds: [budget.key.id, plain.key.id],
  };
}

/** Answers half of the requests after a while, so that many are in flight whenever something dies. */
function answerUnevenly(provider: FakeProvider): void {
  provider.script("plain", (request) => {
    const answer = goodAnswer(request);
    const pauseMs = (request.id % 4) * 20;
    return { ...answer, parts: [pauseMs, ...(answer.parts ?? [])] };
  });
}

function count(history: readonly CallRecord[], outcome: CallRecord["outcome"]): number {
  return history.filter((call) => call.outcome === outcome).length;
}

/** Makes calls, 2,000 unless given, and does something in their middle. Resolves when both are over. */
async function disturb(
  callers: Callers,
  name: string,
  disturbance: () => Promise<void>,
  calls = total,
): Promise<readonly CallRecord[]> {
  let disturbed: Promise<void> | undefined;
  const history = await sendLoad({
    targets: callers.targets,
    model: "plain",
    count: calls,
    concurrency: 100,
    name,
    onCall(answered) {
      if (answered === calls / 2) {
        disturbed ??= disturbance();
      }
    },
  });
  assert.ok(disturbed !== undefined, "half of the calls were never answered");
  await disturbed;
  return history;
}

inMode("embedded", "a crash of the whole process", config, (context) => {
  test("kill -9 loses no request that was answered, counts none twice, and eats no budget", async () => {
    const { gateway, provider } = context;
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const process = gateway.processOf("gateway");
    let answered = 0;
    let killed: Promise<void> | undefined;
    // All at once: whatever is not answered when the process dies is in flight.
    const crashed = await sendLoad({
      targets: callers.targets,
      model: "plain",
      count: total,
      concurrency: total,
      name: "crash",
      onCall(soFar) {
        answered = soFar;
        if (soFar >= total / 4) {
          killed ??= process.kill("SIGKILL");
        }
      },
    });
    await killed;
    assert.ok(answered >= total / 4 && count(crashed, "broken") > total / 10, "it did not die in the middle");
    await outliveLeases(gateway);
    await process.restart();
    await gateway.waitUntilReady();
    const after = await sendLoad({ ...callers, model: "plain", count: 200, concurrency: 50, name: "after" });
    assert.equal(count(after, "answered"), 200);
    const verdict = await checkLedger(gateway, provider, [...crashed, ...after], callers.keyIds);
    assert.ok(verdict.recovered <= count(crashed, "broken"));
    await checkBudget(gateway, callers.budgetKeyId);
  });

  test("kill -9 again and again loses nothing", async () => {
    const { gateway, provider } = context;
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const process = gateway.processOf("gateway");
    const history: CallRecord[] = [];
    for (let round = 0; round < 3; round += 1) {
      let killed: Promise<void> | undefined;
      history.push(
        ...(await sendLoad({
          targets: callers.targets,
          model: "plain",
          count: 300,
          concurrency: 150,
          name: `round${round}`,
          onCall(soFar) {
            // Each time at another point.
            if (soFar >= 20 + round * 70) {
              killed ??= process.kill("SIGKILL");
            }
          },
        })),
      );
      await killed;
      await outliveLeases(gateway);
      await process.restart();
      await gateway.waitUntilReady();
    }
    await checkLedger(gateway, provider, history, callers.keyIds);
    await checkBudget(gateway, callers.budgetKeyId);
  });
});

inMode("mesh", "crashes behind the data plane", config, (context) => {
  test("kill -9 of accounting, again and again, is not seen by callers, and each row is there once", async () => {
    const { gateway, provider } = context;
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const accounting = gateway.processOf("accounting");
    const history = await disturb(callers, "accounting", () => accounting.kill("SIGKILL"));
    assert.equal(count(history, "answered"), total);
    await accounting.restart();
    for (let kills = 0; kills < 3; kills += 1) {
      // While it stores what has gathered.
      await accounting.restart("SIGKILL");
    }
    await checkLedger(gateway, provider, history, callers.keyIds);
    await checkBudget(gateway, callers.budgetKeyId);
  });

  test("kill -9 of the bus is not seen by callers, and no row is missing or double", async () => {
    const { gateway, provider } = context;
    const nats = started(gateway.nats);
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const history = await disturb(callers, "bus", () => nats.kill("SIGKILL"));
    assert.equal(count(history, "answered"), total);
    await nats.restart();
    await checkLedger(gateway, provider, history, callers.keyIds);
    await checkBudget(gateway, callers.budgetKeyId);
  });

  test("a bus that hangs is not seen by callers, and no row is missing or double", async () => {
    const { gateway, provider } = context;
    const nats = started(gateway.nats);
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const history = await disturb(callers, "hang", () => nats.kill("SIGSTOP"), 1_000);
    assert.equal(count(history, "answered"), 1_000);
    await nats.kill("SIGCONT");
    await checkLedger(gateway, provider, history, callers.keyIds);
  });

  test("a bus that lost its store loses no row once the ingress reads its journal again", async () => {
    const { gateway, provider } = context;
    const nats = started(gateway.nats);
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const accounting = gateway.processOf("accounting");
    // What is published now is acknowledged by the bus, and stored by nobody.
    await accounting.kill("SIGKILL");
    const history = await sendLoad({ ...callers, model: "plain", count: 500, concurrency: 50, name: "wiped" });
    assert.equal(count(history, "answered"), 500);
    await nats.restart({ wipe: true });
    await accounting.restart();
    await gateway.processOf("ingress").restart("SIGKILL");
    await gateway.waitUntilReady();
    await checkLedger(gateway, provider, history, callers.keyIds);
    await checkBudget(gateway, callers.budgetKeyId);
  });

  test("kill -9 of the ingress loses no request that was answered", async () => {
    const { gateway, provider } = context;
    answerUnevenly(provider);
    const callers = await makeCallers(context);
    const ingress = gateway.processOf("ingress");
    const history = await disturb(callers, "ingress", () => ingress.kill("SIGKILL"), 1_000);
    assert.ok(count(history, "broken") > 0);
    await ingress.restart();
    await gateway.waitUntilReady();
    await checkLedger(gateway, provider, history, callers.keyIds);
    await checkBudget(gateway, callers.budgetKeyId);
  });
});

function started<T>(value: T | undefined): T {
  assert.ok(value !== undefined, "there is no bus");
  return value;
}
