import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { AlertDeliveryState, AlertSeverity } from "#gen/penstock/accounting/v1/alert_service_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { alertsConfig } from "../config.ts";
import { calledBy, newEvent, startTestLedger } from "../testing.ts";
import { createAlertStore } from "./alert-store.ts";
import { deliverAlerts } from "./deliver-alerts.ts";
import { destinationsOf } from "./destination.ts";
import { findAlerts } from "./find-alerts.ts";

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const received: Received[] = [];
let refusals = 0;
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const isRefused = refusals > 0;
    refusals -= isRefused ? 1 : 0;
    if (!isRefused) {
      received.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString() });
    }
    response.writeHead(isRefused ? 503 : 200).end();
  });
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
// A server that listens on a port has an address of that form.
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const config = alertsConfig.parse({
  webhooks: [{ url: `${base}/hook/secret-path`, secret: "whsec" }],
  slack: [{ url: `${base}/slack` }],
  error_rate: { min_attempts: 10 },
});
const started = await startTestLedger();
const { alerts, pool, ledger } = started;
const store = createAlertStore(pool);
const destinations = destinationsOf(config);
const signal = new AbortController().signal;
const deliver = (): Promise<void> => deliverAlerts({ store, destinations, wallClock: () => 1_800_000_000_000, signal });
const alert = {
  dedupeKey: "budget/team/blue/2026-07/80",
  kind: "budget_threshold",
  title: "Team <blue> has used 80%",
  text: "$80 of $100",
  labels: { organization_id: "acme", team_id: "blue" },
};

after(async () => {
  await started.close();
  server.close();
});

test("delivers an alert once to each destination, however many processes raise and deliver it", async () => {
  const stored = { ...alert, severity: AlertSeverity.WARNING, timeMs: Date.now() };
  const raised = await Promise.all(Array.from({ length: 8 }, () => store.raise([stored, stored], destinations)));
  assert.equal(
    raised.reduce((sum, each) => sum + each, 0),
    1,
  );
  await Promise.all(Array.from({ length: 4 }, deliver));
  assert.deepEqual(received.map((each) => each.path).toSorted(), ["/hook/secret-path", "/slack"]);
  const hook = received.find((each) => each.path.startsWith("/hook"));
  const [, seconds, digest] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(hook?.headers["x-penstock-signature"])) ?? [];
  assert.equal(createHmac("sha256", "whsec").update(`${seconds}.${hook?.body}`).digest("hex"), digest);
  const { dedupeKey, severity, labels } = JSON.parse(hook?.body ?? "{}");
  assert.deepEqual([dedupeKey, severity, labels], [alert.dedupeKey, "warning", alert.labels]);
  const slack = JSON.parse(received.find((each) => each.path === "/slack")?.body ?? "{}");
  assert.match(slack.text, /^\*Team &lt;blue&gt; has used 80%\*\n\$80 of \$100\n/);
});

test("tries a destination that refuses again later, and says nothing of its URL's path", async () => {
  received.length = 0;
  refusals = 2;
  await store.raise([{ ...alert, dedupeKey: "second", severity: 3, timeMs: Date.now() }], destinations);
  await deliver();
  assert.equal(received.length, 0);
  const listed = (await alerts.listAlerts({ pageSize: 1 })).alerts[0];
  assert.deepEqual(
    listed?.deliveries.map((each) => [each.destination.includes("secret"), each.state, each.tries, each.lastError]),
    [
      [false, AlertDeliveryState.PENDING, 1, "HTTP status 503"],
      [false, AlertDeliveryState.PENDING, 1, "HTTP status 503"],
    ],
  );
  await deliver();
  assert.equal(received.length, 0, "not before its time");
  await pool.query("UPDATE accounting.alert_deliveries SET next_time = now() WHERE state = 1");
  await deliver();
  assert.equal(received.length, 2);
  const after = (await alerts.listAlerts({ pageSize: 1 })).alerts[0];
  assert.ok(after?.deliveries.every((each) => each.state === AlertDeliveryState.DELIVERED && each.deliverTime));
});

test("gives up after twelve tries", async () => {
  refusals = 2;
  await store.raise([{ ...alert, dedupeKey: "third", severity: 1, timeMs: Date.now() }], destinations);
  await pool.query("UPDATE accounting.alert_deliveries SET tries = 11 WHERE state = 1");
  await deliver();
  const listed = (await alerts.listAlerts({ pageSize: 1 })).alerts[0];
  assert.ok(listed?.deliveries.every((each) => each.state === AlertDeliveryState.FAILED && each.tries === 12));
});

test("lists alerts page by page, by kind, and to an organisation its own", async () => {
  const first = await alerts.listAlerts({ pageSize: 2 });
  const second = await alerts.listAlerts({ pageSize: 2, pageToken: first.nextPageToken });
  assert.deepEqual(
    [...first.alerts, ...second.alerts].map((each) => each.event?.dedupeKey),
    ["third", "second", alert.dedupeKey],
  );
  assert.equal(second.nextPageToken, "");
  assert.equal((await alerts.listAlerts({ kind: "other" })).alerts.length, 0);
  assert.equal((await alerts.listAlerts({}, calledBy({ organizationId: "acme" }))).alerts.length, 3);
  assert.equal((await alerts.listAlerts({}, calledBy({ organizationId: "else" }))).alerts.length, 0);
});

test("finds providers that fail and models without a price, and not callers' own mistakes", async () => {
  const nowMs = Date.now();
  const attempts = (count: number, settings: object) => Array.from({ length: count }, () => newEvent(settings));
  await ledger.ingest({
    events: [
      ...attempts(8, { provider: "bad" }),
      ...attempts(4, { provider: "bad", outcome: Outcome.FAILED, httpStatus: 500 }),
      ...attempts(8, { provider: "misused" }),
      ...attempts(8, { provider: "misused", outcome: Outcome.FAILED, httpStatus: 400 }),
      ...attempts(9, { provider: "rare", outcome: Outcome.FAILED, httpStatus: 0 }),
      newEvent({ provider: "local", model: "llama", priceSource: "" }),
      newEvent({ provider: "local", model: "down", priceSource: "", outcome: Outcome.FAILED }),
    ],
  });
  const found = await findAlerts(pool, config, nowMs);
  assert.deepEqual(
    found.map((each) => [each.kind, each.labels["provider"], each.labels["model"] ?? each.labels["failed"]]),
    [
      ["error_rate", "bad", "4"],
      ["unpriced_model", "local", "llama"],
    ],
  );
  assert.equal(await store.raise(found, destinations), 2);
  assert.equal(await store.raise(await findAlerts(pool, config, nowMs), destinations), 0);
});

test("raises an alert once, however often a service says so", async () => {
  const event = { ...alert, dedupeKey: "by a service", kind: "journal_age" };
  assert.equal((await alerts.raiseAlert({ alerts: [event, event] })).raised, 1n);
  assert.equal((await alerts.raiseAlert({ alerts: [event] })).raised, 0n);
  const { alerts: listed } = await alerts.listAlerts({ kind: "journal_age" });
  assert.deepEqual([listed.length, listed[0]?.event?.labels, listed[0]?.deliveries], [1, alert.labels, []]);
});

for (const [name, event] of [
  ["without a dedupe key", { ...alert, dedupeKey: "" }],
  ["without a title", { ...alert, title: "" }],
  ["of no kind", { ...alert, kind: "Not a kind" }],
] as const) {
  test(`refuses an alert ${name}`, async () => {
    await assert.rejects(
      alerts.raiseAlert({ alerts: [event] }),
      (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
    );
  });
}
