import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chat, type GatewayReply } from "../harness/call-gateway.ts";
import { type FakeProvider, startFakeProvider } from "../harness/fake-provider.ts";
import { cutAfter, goodAnswer, json, openAiChunks, sse } from "../harness/provider-answers.ts";
import { type Gateway, type GatewayMode, startGateway } from "../harness/start-gateway.ts";
import { waitUntil } from "../harness/wait-until.ts";
import { rawRequest } from "./hostile-case.ts";
import { sendRaw } from "./raw-http.ts";

const mark = (of: string): string => `canary-${of}-${randomBytes(9).toString("hex")}`;

/** What must not be found anywhere. */
interface Canaries {
  readonly providerKey: string;
  readonly prompt: string;
  readonly completion: string;
  readonly wrongKey: string;
  readonly virtualKey: string;
  readonly budgetKey: string;
  readonly adminKey: string;
  readonly databasePassword: string;
}

secretsStay("embedded");
secretsStay("mesh");

function secretsStay(mode: GatewayMode): void {
  describe(`secrets and texts stay where they belong (${mode})`, () => {
    const planted = {
      providerKey: `sk-${mark("provider")}`,
      prompt: mark("prompt"),
      completion: mark("completion"),
      wrongKey: `sk-pen-${mark("wrong")}`,
    };
    const replies: string[] = [];
    let provider: FakeProvider;
    let gateway: Gateway;
    let canaries: Canaries;

    before(async () => {
      provider = await startFakeProvider();
      gateway = await startGateway({ mode, config: config(provider.url), env: { CANARY: planted.providerKey } });
      const budget = await gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      canaries = {
        ...planted,
        virtualKey: gateway.virtualKey,
        budgetKey: budget.secret,
        adminKey: gateway.adminKey,
        databasePassword: databasePassword(gateway),
      };
      scriptAnswers();
      await causeTraffic();
    });
    after(async () => {
      await gateway.stop();
      await provider.close();
    });

    function scriptAnswers(): void {
      const { completion, prompt, providerKey } = planted;
      const leak = { message: `${prompt} with ${providerKey}`, type: "x", param: null, code: null };
      provider.script("good", (request) => goodAnswer(request, { text: completion }));
      provider.script("refusing", json({ error: leak }, 400));
      provider.script("failing", json({ error: leak }, 500));
      provider.script("locked", json({ error: leak }, 401));
      provider.script("mumbling", {
        headers: { "content-type": "application/json" },
        parts: [`{"choices": ${completion} ${prompt}`],
      });
      provider.script("cut", (request) => cutAfter(goodAnswer(request, { text: completion.repeat(3) }), 300));
      provider.script("broken", {
        headers: { "content-type": "text/event-stream" },
        parts: [
          ...openAiChunks({ text: completion }).slice(0, 2).map(sse),
          sse({ error: leak }),
          `data: {${completion}\n\n`,
        ],
      });
    }

    async function causeTraffic(): Promise<void> {
      const { prompt } = planted;
      const more = {
        messages: [
          { role: "system", content: `Be ${prompt}.` },
          { role: "user", content: prompt, name: "canary" },
        ],
        tools: [{ type: "function", function: { name: "f", description: prompt, parameters: { title: prompt } } }],
        metadata: { note: prompt },
        user: prompt,
      };
      for (const key of [canaries.virtualKey, canaries.budgetKey]) {
        for (const model of ["good", "refusing", "failing", "locked", "mumbling", "cut", "broken", "fallen"]) {
          for (const stream of [false, true]) {
            keep(model, await chat({ url: gateway.url, key }, model, { ...more, stream, max_tokens: 10 }));
          }
        }
        keep("model", await chat({ url: gateway.url, key }, "nobody/nothing", more));
        keep("type", await chat({ url: gateway.url, key }, "good", { ...more, temperature: prompt }));
      }
      const raw = [
        rawRequest({ key: canaries.wrongKey, body: "{}" }),
        rawRequest({ key: canaries.virtualKey, body: `{"model":"good", ${prompt}` }),
        rawRequest({ key: canaries.virtualKey, headers: [`x-penstock-tags: ${prompt}`], body: "{}" }),
        rawRequest({ path: `/v1/chat/completions?key=${canaries.virtualKey}`, body: "{}" }),
        rawRequest({ path: `/v1/nothing?key=${canaries.virtualKey}`, body: "{}" }),
        rawRequest({ path: "/penstock.admin.v1.KeyService/GetKey", key: canaries.virtualKey, body: '{"keyId":"x"}' }),
        rawRequest({ key: canaries.virtualKey, headers: [`x odd: ${prompt}`], body: "{}" }),
      ];
      for (const parts of raw) {
        replies.push(
          ...(await sendRaw(gateway.url, parts)).map((reply) => JSON.stringify([...reply.headers, reply.body])),
        );
      }
      // What cannot be delivered stays in the journal, and every process complains.
      const behind = gateway.nats === undefined ? undefined : gateway.processOf("accounting");
      await gateway.nats?.kill("SIGKILL");
      await behind?.kill("SIGKILL");
      keep("good", await chat({ url: gateway.url, key: canaries.virtualKey }, "good", more));
      if (behind !== undefined) {
        await gateway.processOf("ingress").waitForLog("usage events cannot be");
      }
      await gateway.nats?.restart();
      await behind?.restart();
      await gateway.waitForRequest(lastId);
    }

    let lastId = "";
    function keep(model: string, reply: GatewayReply): void {
      lastId = reply.requestId;
      // The caller's own text comes back in good answers only, and in what a provider says about it.
      const own = model === "good" || model === "cut" || model === "broken" || model === "fallen";
      const said = own || ["refusing", "failing", "locked"].includes(model);
      let text = reply.text;
      text = own ? text.replaceAll(planted.completion, "") : text;
      text = said ? text.replaceAll(planted.prompt, "") : text;
      replies.push(JSON.stringify([model, reply.status, ...reply.headers, text]));
    }

    function checkNone(where: string, text: string): void {
      for (const [name, secret] of Object.entries(canaries)) {
        for (const form of [secret, Buffer.from(secret).toString("base64").replace(/=+$/, "").slice(0, -1)]) {
          const at = text.indexOf(form);
          assert.equal(at, -1, `${name} is in ${where}: …${text.slice(Math.max(0, at - 200), at)}`);
        }
      }
    }

    test("answers", () => {
      assert.ok(replies.length > 30);
      for (const reply of replies) {
        checkNone("an answer", reply);
      }
    });

    test("logs of all processes", () => {
      const lines = [...gateway.processes.values()].flatMap((process) => process.stderr);
      assert.ok(mode === "embedded" || lines.length > 0, "the processes had to complain");
      for (const process of gateway.processes.values()) {
        checkNone(`what ${process.name} wrote`, process.stderr.join("\n"));
      }
    });

    test("tables", async () => {
      const tables = await gateway.query(
        `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`,
      );
      assert.ok(tables.length >= 6);
      let rows = 0;
      for (const { name } of tables) {
        for (const { row } of await gateway.query(`SELECT t::text AS row FROM ${String(name)} t`)) {
          rows += 1;
          checkNone(`the table ${String(name)}`, String(row));
        }
      }
      assert.ok(rows > 30, "there was traffic");
    });

    test("the journal and other files", () => {
      const files = filesBelow(dirname(gateway.configFile));
      assert.ok(
        files.some((file) => file.includes("journal")),
        "there is a journal",
      );
      for (const file of files) {
        checkNone(file.slice(dirname(gateway.configFile).length), readFileSync(file, "latin1"));
      }
    });

    if (mode === "mesh") {
      test("the store of the bus", () => {
        const files = filesBelow(natsDirectory(gateway));
        assert.ok(files.some((file) => statSync(file).size > 1_000));
        for (const file of files) {
          checkNone(`the bus: ${file}`, readFileSync(file, "latin1"));
        }
      });
    }

    test("metrics and readiness", async () => {
      for (const path of ["/metrics", "/readyz", "/healthz"]) {
        checkNone(path, await (await fetch(gateway.url + path)).text());
      }
    });

    test("the search would find them", async () => {
      const rows = await gateway.query("SELECT display_name FROM quota.keys");
      assert.throws(() => checkNone("a text", `${JSON.stringify(rows)} ${canaries.prompt}`));
      assert.throws(() => checkNone("a text", Buffer.from(`${canaries.providerKey}`).toString("base64")));
      await waitUntil(
        () => provider.requests.some((request) => request.body.includes(canaries.prompt)),
        () => "the provider to have got the prompt",
      );
      assert.ok(provider.requests.every((request) => request.headers["authorization"]?.endsWith(canaries.providerKey)));
    });
  });
}

function config(url: string): string {
  const names = ["good", "refusing", "failing", "locked", "mumbling", "cut", "broken"];
  return `
providers:
  fake: { kind: openai, base_url: "${url}/v1", api_key: "\${CANARY}" }
models:
${names.map((name) => `  ${name}: { route: [ { target: fake/${name} } ], retry: { attempts: 1 } }`).join("\n")}
  fallen: { route: [ { target: fake/failing } ], fallback: [ good ] }
prices:
  overrides:
${names.map((name) => `    fake/${name}: { input: $1/M, output: $10/M }`).join("\n")}
cache: { exact: { ttl: 1m } }
telemetry: { log_level: debug }
`;
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Where the bus keeps its files, from the command line with which the harness started it. */
function natsDirectory(gateway: Gateway): string {
  const line = readFileSync(`/proc/${gateway.nats?.pid}/cmdline`, "utf8").split("\0");
  return dirname(line.find((word) => word.endsWith("nats.conf")) ?? "/nowhere/nats.conf");
}

/** The password in the address of the database that the processes were started with. */
function databasePassword(gateway: Gateway): string {
  const [process] = gateway.processes.values();
  const line = readFileSync(`/proc/${process?.pid}/cmdline`, "utf8").split("\0");
  const url = line.find((word) => word.startsWith("postgres"));
  return new URL(url ?? "postgres://u:none@localhost").password;
}
