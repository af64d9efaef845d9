import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

test("exchanges a credential of somebody else's for a token, and tells a refusal from nobody there", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "google-tokens-"));
  const subject = join(folder, "subject");
  await writeFile(subject, "very-secret-subject");
  let status = 200;
  const server = http.createServer((req, res) => {
    const good = { access_token: "ya29.token", expires_in: 3600, token_type: "Bearer", issued_token_type: "x" };
    const bad = { error: "invalid_grant", error_description: "very-secret-subject" };
    req.resume().on("end", () => {
      res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(status === 200 ? good : bad));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.close();
    server.closeAllConnections();
    await rm(folder, { recursive: true });
  });
  // A server that listens on a host and a port has an address of TCP.
  const { port } = server.address() as AddressInfo;
  const ask = (tokenPort: number) =>
    createGoogleTokenSource(
      {
        json: JSON.stringify({
          type: "external_account",
          audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
          subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
          token_url: `http://127.0.0.1:${tokenPort}/token`,
          credential_source: { file: subject },
        }),
        file: undefined,
      },
      Date.now,
    )();

  const { token, expiresAtMs } = await ask(port);
  assert.equal(token, "ya29.token");
  assert.ok(expiresAtMs > Date.now() + 3_000_000 && expiresAtMs <= Date.now() + 3_600_000);
  status = 400;
  await assert.rejects(ask(port), (error) => {
    assert.ok(error instanceof AuthorizeError && error.isRefused);
    assert.match(error.message, /status 400/);
    assert.ok(!error.message.includes("very-secret"));
    return true;
  });
  // Nobody listens at the port of echo's old service here.
  await assert.rejects(ask(7), (error) => error instanceof AuthorizeError && !error.isRefused);
});
