import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { inMode } from "../harness/both-modes.ts";
import { chat } from "../harness/call-gateway.ts";

const program = fileURLToPath(new URL("../../services/main.ts", import.meta.url));

interface Output {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

function penstock(arguments_: readonly string[], env: Readonly<Record<string, string>>): Promise<Output> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...arguments_],
      { env: { PATH: process.env["PATH"] ?? "", ...env } },
      (error, stdout, stderr) => {
        resolve({ exitCode: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      },
    );
  });
}

inMode(
  "embedded",
  "command line",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
limits:
  - { scope: { organization: each }, rpm: 600 }
`,
  (context) => {
    const run = (...arguments_: readonly string[]): Promise<Output> =>
      penstock(arguments_, { PENSTOCK_URL: context.gateway.url, PENSTOCK_ADMIN_KEY: context.gateway.adminKey });
    async function ok(...arguments_: readonly string[]): Promise<string> {
      const { exitCode, stdout, stderr } = await run(...arguments_);
      assert.equal(exitCode, 0, `penstock ${arguments_.join(" ")}\n${stdout}${stderr}`);
      return stdout;
    }
    async function json(...arguments_: readonly string[]): Promise<Record<string, unknown>> {
      // What is printed with --json is an object.
      return JSON.parse(await ok(...arguments_, "--json")) as Record<string, unknown>;
    }

    test("makes an organisation, a team, a user and a key that works", async () => {
      assert.equal(await ok("organizations", "create", "acme", "--name", "Acme"), "acme\n");
      assert.equal(await ok("teams", "create", "search", "--organization", "acme"), "search\n");
      await ok("users", "create", "ada@example.com", "--id", "ada", "--organization", "acme", "--role", "viewer");
      await ok("users", "grant", "ada", "admin", "--organization", "acme", "--team", "search");
      assert.match(await ok("users", "list"), /ada +ada@example\.com +acme +viewer@acme admin@search/);
      const { key, secret } = await json(
        "keys",
        "create",
        "--team",
        "search",
        "--user",
        "ada",
        "--budget",
        "5",
        "--rpm",
        "60",
        "--tag",
        "env=prod",
      );
      // As the API answers it.
      const { id, budgetNanosUsd, tags } = key as { readonly id: string; readonly [name: string]: unknown };
      assert.deepEqual([budgetNanosUsd, tags], ["5000000000", { env: "prod" }]);
      const reply = await chat({ url: context.gateway.url, key: String(secret) }, "fake/free");
      assert.notEqual(reply.status, 401);
      assert.match(
        await ok("keys", "list", "--team", "search"),
        new RegExp(`${id} .* acme .* search .* active .* \\$5\\.00`),
      );
      assert.match(await ok("keys", "show", id), /budget +\$5\.00/);
      assert.match(await ok("keys", "update", id, "--name", "renamed", "--no-budget"), /name +renamed/);
      assert.doesNotMatch(await ok("keys", "show", id), /budget/);
      const rotated = await ok("keys", "rotate", id, "--grace", "1h");
      assert.match(rotated, new RegExp(`secret +sk-pen-${id}-\\w{48}`));
      assert.match(await ok("keys", "disable", id), /state +disabled/);
      assert.match(await ok("keys", "enable", id), /state +active/);
      assert.match(await ok("keys", "revoke", id), /state +revoked/);
      assert.match(await ok("users", "delete", "ada"), /ada is gone/);
      assert.equal(await ok("teams", "delete", "search"), "search is gone\n");
    });

    test("sets, shows, tops up and ends a budget", async () => {
      await ok("teams", "create", "docs");
      const { limit } = await json(
        "budgets",
        "create",
        "team=docs",
        "--budget",
        "1.50",
        "--window",
        "month",
        "--zone",
        "Europe/Berlin",
        "--warn",
        "80%",
      );
      // As the API answers it.
      const { id, warnPercents } = limit as { readonly id: string; readonly warnPercents: unknown };
      assert.deepEqual(warnPercents, [80]);
      assert.match(await ok("budgets", "list"), /organization=each +600 +requests a minute +configuration/);
      assert.match(await ok("budgets", "list"), /team=docs +\$1\.50 +month \(Europe\/Berlin\) +API/);
      assert.match(await ok("budgets", "top-up", id, "0.25"), /docs +\$1\.75 +\$0\.00 +\$0\.00 +\$1\.75/);
      await ok("budgets", "update", id, "--budget", "2");
      assert.match(await ok("budgets", "usage", id), /docs +\$2\.25/);
      await ok("budgets", "delete", id);
    });

    test("says what is wrong, by its exit code too", async () => {
      const unknown = await run("keys", "show", "nobody");
      assert.deepEqual([unknown.exitCode, unknown.stderr], [1, "penstock: no such key\n"]);
      for (const wrong of [
        ["keys", "create", "--budget", "much"],
        ["keys", "create", "--role", "king"],
        ["keys", "create", "--tag", "env"],
        ["keys", "fly"],
        ["budgets", "create", "team"],
        ["budgets", "create", "team=a", "--budget", "1", "--rpm", "1"],
        ["keys", "list", "--url", "nowhere"],
      ]) {
        const { exitCode, stderr } = await run(...wrong);
        assert.equal(exitCode, 2, `penstock ${wrong.join(" ")}: ${stderr}`);
        assert.notEqual(stderr, "");
      }
      const noKey = await penstock(["keys", "list"], { PENSTOCK_URL: context.gateway.url });
      assert.equal(noKey.exitCode, 2);
      const noGateway = await penstock(["keys", "list", "--url", "http://127.0.0.1:1"], { PENSTOCK_ADMIN_KEY: "x" });
      assert.equal(noGateway.exitCode, 1);
      assert.match(noGateway.stderr, /cannot be reached/);
      assert.equal((await run("keys", "--help")).exitCode, 0);
    });
  },
);
