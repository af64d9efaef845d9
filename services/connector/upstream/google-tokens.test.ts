import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthorizeError } from "./authorize-error.ts";
import { createGoogleTokenSource } from "./google-tokens.ts";

for (const [name, credential] of [
  ["text that is not JSON", { json: "{private: very-secret-key", file: undefined }],
  ["JSON that is no credential", { json: '{"type":"very-secret-key"}', file: undefined }],
  [
    "a key that is none",
    {
      json: JSON.stringify({ type: "service_account", client_email: "a@b.example", private_key: "very-secret-key" }),
      file: undefined,
    },
  ],
  ["a file that is not there", { json: undefined, file: "/nowhere/very-secret-key.json" }],
] as const) {
  test(`refuses ${name} without asking anybody, and does not repeat it`, async () => {
    await assert.rejects(createGoogleTokenSource(credential, () => 0)(), (error) => {
      assert.ok(error instanceof AuthorizeError);
      assert.equal(error.isRefused, true);
      assert.ok(!error.message.includes("very-secret-key"), error.message);
      return true;
    });
  });
}
