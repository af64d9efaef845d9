import assert from "node:assert/strict";
import { test } from "node:test";
import { inBothModes } from "../harness/both-modes.ts";

inBothModes(
  "first request",
  (provider) => `
providers:
  fake: { kind: openai-compatible, base_url: "${provider.url}/v1", api_key: sk-fake }
models:
  fast: { route: [{ target: fake/fast }] }
prices: { overrides: { fake/fast: { input: $1/M, output: $2/M } } }
`,
  (context) => {
    test("an answer reaches the caller and a row the ledger", async () => {
      const { gateway } = context;
      const response = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${gateway.virtualKey}` },
        body: JSON.stringify({ model: "fast", messages: [{ role: "user", content: "hi" }] }),
      });
      assert.equal(response.status, 200, await response.clone().text());
      const rows = await gateway.waitForRequest(response.headers.get("x-request-id") ?? "");
      assert.equal(rows.length, 1);
      assert.equal(rows[0]?.costNanosUsd, 20_000n);
    });
  },
);
