import assert from "node:assert/strict";
import { before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { createKeepingProvider, type KeepingProvider } from "../harness/keeping-provider.ts";

const line = (body: object): string =>
  `${JSON.stringify({ custom_id: "1", method: "POST", url: "/v1/chat/completions", body })}\n`;
const batchLines = line({ model: "m-1", messages: [{ role: "user", content: "Hi" }] });

inBothModes(
  "files and batches",
  ({ url }) => `
providers:
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  other: { kind: openai-compatible, base_url: "${url}/v1", api_key: sk-fake-other }
models:
  gpt: { route: [{ target: openai/m-1 }], fallback: [elsewhere] }
  elsewhere: { route: [{ target: other/m-2 }] }
prices:
  overrides:
    openai/m-1: { input: $2/M, output: $8/M }
`,
  (context) => {
    let keeping: KeepingProvider;
    let alice: OpenAI;
    let mallory: OpenAI;
    before(async () => {
      keeping = createKeepingProvider();
      for (const model of ["", "m-1", "m-2"]) {
        context.provider.script(model, keeping.answer);
      }
      const client = (apiKey: string): OpenAI =>
        new OpenAI({ baseURL: `${context.gateway.url}/v1`, apiKey, maxRetries: 0 });
      alice = client((await context.gateway.createKey({ displayName: "alice" })).secret);
      mallory = client((await context.gateway.createKey({ displayName: "mallory" })).secret);
    });
    const upload = async (client: OpenAI, text = batchLines, purpose: "batch" | "user_data" = "batch") =>
      await client.files.create({ file: await toFile(Buffer.from(text), "in.jsonl"), purpose });
    const refused = async (call: PromiseLike<unknown>, status: number): Promise<string> => {
      const error: unknown = await call.then(
        () => undefined,
        (failure: unknown) => failure,
      );
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.equal(error.status, status, error.message);
      return error.message;
    };

    test("keeps a file at the first provider that keeps files, under an id of the gateway's", async () => {
      const file = await upload(alice);
      assert.match(file.id, /^file-[0-9a-f]{32}$/);
      assert.equal(file.filename, "in.jsonl");
      const sent = context.provider.requests.findLast(({ path }) => path === "/v1/files");
      assert.equal(sent?.headers.authorization, "Bearer sk-fake-openai");
      assert.equal((await alice.files.retrieve(file.id)).id, file.id);
      const content = await alice.files.content(file.id);
      assert.equal(await content.text(), batchLines);
      assert.equal(content.headers.get("content-type"), "application/octet-stream");
      assert.deepEqual(await alice.files.delete(file.id), { id: file.id, object: "file", deleted: true });
      await refused(alice.files.retrieve(file.id), 404);
    });

    test("takes the provider that the caller names", async () => {
      const file = await toFile(Buffer.from("x"), "x");
      await alice.files.create({ file, purpose: "user_data" }, { headers: { "x-penstock-provider": "other" } });
      const sent = context.provider.requests.findLast(({ path }) => path === "/v1/files");
      assert.equal(sent?.headers.authorization, "Bearer sk-fake-other");
      const to = async (provider: string): Promise<string> =>
        await refused(
          alice.files.create({ file, purpose: "user_data" }, { headers: { "x-penstock-provider": provider } }),
          provider === "claude" ? 400 : 404,
        );
      assert.match(await to("claude"), /does not keep files/);
      assert.match(await to("nobody"), /nobody/);
    });

    test("lists what is one's own, in either order, page by page", async () => {
      const client = new OpenAI({
        baseURL: `${context.gateway.url}/v1`,
        apiKey: (await context.gateway.createKey()).secret,
      });
      const ids = [(await upload(client)).id, (await upload(client)).id, (await upload(client, "x", "user_data")).id];
      const listed = async (query: OpenAI.FileListParams): Promise<readonly string[]> =>
        (await Array.fromAsync(client.files.list(query))).map(({ id }) => id);
      assert.deepEqual(await listed({}), ids.toReversed());
      assert.deepEqual(await listed({ order: "asc", limit: 2 }), ids);
      assert.deepEqual(await listed({ purpose: "user_data" }), ids.slice(2));
      await refused(client.files.list({ limit: 0 }), 400);
    });

    test("makes, tells and cancels batches, and owns the files that come of them", async () => {
      const file = await upload(alice);
      const asked = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
      const batch = await alice.batches.create(asked);
      assert.match(batch.id, /^batch_[0-9a-f]{32}$/);
      assert.equal(batch.input_file_id, file.id);
      keeping.complete();
      const done = await alice.batches.retrieve(batch.id);
      assert.equal(done.status, "completed");
      assert.ok(done.output_file_id);
      assert.equal(await (await alice.files.content(done.output_file_id)).text(), "out");
      await refused(mallory.files.content(done.output_file_id), 404);
      assert.doesNotMatch(JSON.stringify([file, batch, done, await alice.batches.list()]), /secret/);
      const other = await alice.batches.create(asked);
      assert.equal((await alice.batches.cancel(other.id)).status, "cancelling");
      assert.deepEqual(
        (await alice.batches.list()).data.map(({ id, status }) => [id, status]),
        [
          [other.id, "cancelling"],
          [batch.id, "completed"],
        ],
      );
    });

    test("counts what a batch used once, at half of the price, however often it is asked for", async () => {
      const file = await upload(alice);
      const made = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
      const batch = await alice.batches.create(made);
      keeping.complete();
      await Promise.all([1, 2, 3].map(() => alice.batches.retrieve(batch.id)));
      await alice.batches.retrieve(batch.id);
      const stored = await context.gateway.query("SELECT usage_attempt_id FROM owned.objects WHERE id = $1", [
        batch.id,
      ]);
      const rows = await context.gateway.waitForRequest(String(stored[0]?.["usage_attempt_id"]));
      assert.equal(rows.length, 1);
      assert.equal(rows[0]?.operation, Operation.BATCH_USAGE);
      // 1,000 tokens at $2 and 100 at $8 for a million: 2,800,000 nano-dollars, of which half.
      assert.equal(rows[0].costNanosUsd, 1_400_000n);
      assert.equal(rows[0].usage?.uncachedInputTokens, 1_000n);
    });

    test("shows a stranger nothing, neither by id, nor in lists, nor in bodies", async () => {
      const file = await upload(alice);
      const made = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
      const batch = await alice.batches.create(made);
      const unknown = await refused(mallory.files.retrieve("file-unknown"), 404);
      for (const call of [
        () => mallory.files.retrieve(file.id),
        () => mallory.files.content(file.id),
        () => mallory.files.delete(file.id),
        () => mallory.batches.create(made),
      ]) {
        assert.equal((await refused(call(), 404)).replace(file.id, "file-unknown"), unknown);
      }
      await refused(mallory.batches.retrieve(batch.id), 404);
      await refused(mallory.batches.cancel(batch.id), 404);
      const use = (client: OpenAI, id: string) =>
        client.chat.completions.create({
          model: "gpt",
          messages: [{ role: "user", content: [{ type: "file", file: { file_id: id } }] }],
        });
      await refused(use(mallory, file.id), 404);
      const stored = await context.gateway.query("SELECT provider_id FROM owned.objects WHERE id = $1", [file.id]);
      const secret = String(stored[0]?.["provider_id"]);
      // The provider's own ids are nobody's, not even the owner's.
      for (const client of [alice, mallory]) {
        await refused(use(client, secret), 404);
        await refused(client.files.retrieve(secret), 404);
        await refused(client.batches.create({ ...made, input_file_id: secret }), 404);
      }
      assert.deepEqual((await mallory.files.list()).data, []);
      assert.deepEqual((await mallory.batches.list()).data, []);
      await refused(mallory.files.list({ after: file.id }), 404);
      assert.equal((await alice.files.retrieve(file.id)).id, file.id);
    });

    test("finds ids however a body hides them", async () => {
      const file = await upload(alice);
      const [stored] = await context.gateway.query("SELECT provider_id FROM owned.objects WHERE id = $1", [file.id]);
      const secret = String(stored?.["provider_id"]);
      const own = await upload(mallory);
      const part = (members: string): string => `{"type":"file","file":{${members}}}`;
      const before = context.provider.requests.length;
      for (const [body, status] of [
        [`[{"role":"user","content":[${part(`"file\\u005fid":"${secret}"`)}]}]`, 404],
        [`[{"role":"user","content":[${part(`"file_id":"${secret}","file_id":"${own.id}"`)}]}]`, 400],
        [`[{"role":"user","content":[${part(`"file\\u005fid":"${secret}"`)}],"content":"x"}]`, 404],
      ] as const) {
        const response = await fetch(`${context.gateway.url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${mallory.apiKey}` },
          body: `{"model":"gpt","messages":${body}}`,
        });
        assert.equal(response.status, status, `${body} ${await response.text()}`);
      }
      assert.equal(context.provider.requests.length, before);
    });

    test("puts the provider's ids into bodies, and asks only the provider that keeps the file", async () => {
      const file = await upload(alice, "text", "user_data");
      const ask = (model: string) =>
        alice.chat.completions.create({
          model,
          messages: [{ role: "user", content: [{ type: "file", file: { file_id: file.id } }] }],
        });
      await ask("gpt");
      const sent = context.provider.requestsOf("m-1").at(-1);
      assert.match(sent?.body.toString() ?? "", /"file_id":"file-secret\d+"/);
      assert.match(await refused(ask("elsewhere"), 400), /not at the provider that keeps/);
    });

    test("refuses batches to keys with a budget, and models that a key may not use", async () => {
      const client = async (init: object): Promise<OpenAI> =>
        new OpenAI({
          baseURL: `${context.gateway.url}/v1`,
          apiKey: (await context.gateway.createKey(init)).secret,
          maxRetries: 0,
        });
      const bounded = await client({ budgetNanosUsd: 1_000_000_000n });
      const file = await upload(bounded);
      const made = { endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
      assert.match(await refused(bounded.batches.create({ ...made, input_file_id: file.id }), 403), /budget/);
      const narrow = await client({ allowedModels: ["m-2"] });
      assert.match(await refused(upload(narrow), 403), /m-1/);
      await upload(narrow, line({ model: "m-2" }));
      const other = await upload(alice, "text", "user_data");
      assert.match(await refused(alice.batches.create({ ...made, input_file_id: other.id }), 400), /purpose batch/);
      assert.match(await refused(upload(alice, line({ model: "m-1", previous_response_id: "resp_1" })), 400), /Line 1/);
    });

    test("counts each call for the rate limits", async () => {
      const { secret } = await context.gateway.createKey({ requestsPerMinute: 2n });
      const client = new OpenAI({ baseURL: `${context.gateway.url}/v1`, apiKey: secret, maxRetries: 0 });
      await upload(client);
      await client.files.list();
      await refused(client.files.list(), 429);
      await refused(upload(client), 429);
    });

    test("leaves the provider at once when the caller leaves", async () => {
      const file = await upload(alice);
      const controller = new AbortController();
      const held = Promise.withResolvers<void>();
      const count = context.provider.requests.length;
      context.provider.script("", { parts: ["begun", held.promise], headers: { "content-type": "text/plain" } });
      const content = await alice.files.content(file.id, { signal: controller.signal });
      controller.abort();
      const request = await context.provider.waitForRequest(count + 1);
      assert.equal((await context.provider.waitForClose(request)).closedBy, "peer");
      held.resolve();
      await content.text().catch(() => undefined);
      context.provider.script("", keeping.answer);
    });

    test("records each call with its operation", async () => {
      const { response } = await alice.files
        .create({ file: await toFile(Buffer.from("x"), "x"), purpose: "user_data" })
        .withResponse();
      const rows = await context.gateway.waitForRequest(response.headers.get("x-request-id") ?? "");
      const row = rows.at(-1);
      assert.equal(row?.operation, Operation.CREATE_FILE);
      assert.equal(row.provider, "openai");
      assert.equal(row.costNanosUsd, 0n);
    });
  },
);
