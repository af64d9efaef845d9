import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Dimension, ExportFormat, TimelineKind } from "#gen/penstock/accounting/v1/accounting_service_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { chat, post } from "../harness/call-gateway.ts";

inBothModes(
  "ledger",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
models:
  cent: { route: [{ target: fake/cent }] }
prices:
  overrides:
    fake/cent: { input: $0/M, output: $0/M, request: $0.01 }
`,
  (context) => {
    test("shows a request while it is watched, in sums, in a file, and with what happened to it", async () => {
      const { gateway } = context;
      const { accounting } = gateway.admin;
      const { secret, key } = await gateway.createKey({ tags: { feature: "=search" } });
      const filter = { keyId: key.id };
      const requests = accounting.watchRequests({ filter })[Symbol.asyncIterator]();
      const spend = accounting.watchSpend({ filter, groupBy: [Dimension.KEY] })[Symbol.asyncIterator]();
      assert.deepEqual((await requests.next()).value?.requests, []);
      assert.deepEqual((await spend.next()).value?.rows, []);

      const reply = await chat({ url: gateway.url, key: secret }, "cent");
      assert.equal(reply.status, 200);
      assert.equal((await requests.next()).value?.requests[0]?.requestId, reply.requestId);
      assert.equal((await spend.next()).value?.rows[0]?.costNanosUsd, 10_000_000n);
      await requests.return?.();
      await spend.return?.();

      const { rows } = await accounting.queryUsage({
        filter,
        groupBy: [Dimension.TAG, Dimension.DAY],
        tagName: "feature",
      });
      assert.deepEqual(
        rows.map((row) => [row.dimensions[0], row.costNanosUsd]),
        [["=search", 10_000_000n]],
      );
      const { timeline } = await accounting.getRequest({ requestId: reply.requestId });
      assert.deepEqual(
        [timeline[0]?.kind, timeline.at(-1)?.kind],
        [TimelineKind.ATTEMPT_STARTED, TimelineKind.RECORDED],
      );
      const pieces: Uint8Array[] = [];
      for await (const piece of accounting.exportRequests({ format: ExportFormat.CSV, filter })) {
        pieces.push(piece.data);
      }
      const lines = Buffer.concat(pieces).toString().split("\r\n");
      assert.equal(lines.length, 3);
      assert.ok(lines[1]?.includes(reply.requestId) && lines[1].includes("0.010000000"));
    });

    test("answers the commands spend and requests", async () => {
      const { gateway } = context;
      const { secret, key } = await gateway.createKey({ tags: { feature: "cli" } });
      const reply = await chat({ url: gateway.url, key: secret }, "cent");
      await gateway.waitForRequest(reply.requestId);
      const penstock = async (...args: readonly string[]): Promise<string> => {
        const program = fileURLToPath(new URL("../../services/main.ts", import.meta.url));
        const env = { ...process.env, PENSTOCK_URL: gateway.url, PENSTOCK_ADMIN_KEY: gateway.adminKey };
        return (await promisify(execFile)(process.execPath, [program, ...args], { env })).stdout;
      };
      assert.match(
        await penstock("spend", "--by", "model,tag:feature", "--key", key.id),
        /^cent +cli +\$0\.01 +1 +1 /m,
      );
      const json = JSON.parse(await penstock("spend", "--key", key.id, "--since", "1d", "--json"));
      assert.equal(json.rows[0].costNanosUsd, "10000000");
      assert.match(
        await penstock("requests", "list", "--key", key.id, "--outcome", "succeeded"),
        new RegExp(reply.requestId),
      );
      assert.match(await penstock("requests", "show", reply.requestId), /attempt 1 recorded$/m);
      const file = await penstock("requests", "export", "--key", key.id, "--format", "jsonl");
      assert.equal(JSON.parse(file).requestId, reply.requestId);
    });

    test("lists dead letters to admins, and to nobody else", async () => {
      const { gateway } = context;
      const path = "/penstock.accounting.v1.RepairService/ListDeadLetters";
      assert.deepEqual((await post({ url: gateway.url, key: gateway.adminKey }, path, {})).json, {});
      assert.equal((await post({ url: gateway.url, key: gateway.virtualKey }, path, {})).status, 403);
    });

    test("raises no alerts for who only has an admin key", async () => {
      const { gateway } = context;
      const path = "/penstock.accounting.v1.AlertService/RaiseAlert";
      const alert = { dedupeKey: "forged", kind: "forged", title: "forged" };
      const reply = await post({ url: gateway.url, key: gateway.adminKey }, path, { alerts: [alert] });
      assert.equal(reply.status, 404);
    });
  },
);
