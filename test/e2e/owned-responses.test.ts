import assert from "node:assert/strict";
import { before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer } from "../harness/provider-answers.ts";
import { createKeepingProvider, type KeepingProvider } from "../harness/keeping-provider.ts";

inBothModes(
  "stored responses",
  ({ url }) => `
providers:
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  spare: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-spare }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
models:
  gpt: { route: [{ target: openai/m-1 }], fallback: [spare] }
  spare: { route: [{ target: spare/m-2 }] }
  claude: { route: [{ target: claude/c-1 }] }
prices:
  overrides:
    openai/m-1: { input: $2/M, output: $8/M }
    spare/m-2: { input: $2/M, output: $8/M }
`,
  (context) => {
    let keeping: KeepingProvider;
    let alice: OpenAI;
    let mallory: OpenAI;
    const clientOf = async (init: object): Promise<OpenAI> =>
      new OpenAI({
        baseURL: `${context.gateway.url}/v1`,
        apiKey: (await context.gateway.createKey(init)).secret,
        maxRetries: 0,
      });
    before(async () => {
      keeping = createKeepingProvider();
      for (const model of ["", "m-1", "m-2"]) {
        context.provider.script(model, keeping.answer);
      }
      alice = await clientOf({ displayName: "alice" });
      mallory = await clientOf({ displayName: "mallory" });
    });
    const refused = async (call: PromiseLike<unknown>, status: number): Promise<string> => {
      const error: unknown = await call.then(
        () => undefined,
        (failure: unknown) => failure,
      );
      assert.ok(error instanceof OpenAI.APIError, String(error));
      assert.equal(error.status, status, error.message);
      return error.message;
    };

    test("are told, listed by their input, and deleted", async () => {
      const made = await alice.responses.create({ model: "gpt", input: "Hi" });
      assert.equal((await alice.responses.retrieve(made.id)).output_text, "Hi");
      const items = await alice.responses.inputItems.list(made.id, { limit: 5, order: "asc" });
      assert.equal(items.data.length, 1);
      assert.match(context.provider.requests.at(-1)?.path ?? "", /\/input_items\?limit=5&order=asc$/);
      await alice.responses.delete(made.id);
      await refused(alice.responses.retrieve(made.id), 404);
    });

    test("are gone on with at the provider that made them, and there alone", async () => {
      const made = await alice.responses.create({ model: "spare", input: "Hi" });
      const next = await alice.responses.create({ model: "gpt", input: "And?", previous_response_id: made.id });
      assert.equal(next.previous_response_id, made.id);
      assert.equal(context.provider.requests.at(-1)?.headers.authorization, "Bearer sk-fake-spare");
      context.provider.script("m-2", errorAnswer(500));
      const message = await refused(
        alice.responses.create({ model: "gpt", input: "And?", previous_response_id: made.id }),
        502,
      );
      context.provider.script("m-2", keeping.answer);
      assert.match(message, /Only the provider that keeps/);
      assert.match(
        await refused(alice.responses.create({ model: "claude", input: "?", previous_response_id: made.id }), 400),
        /not at the provider that keeps/,
      );
    });

    test("can be gone on with as soon as a stream has ended", async () => {
      let id = "";
      for await (const event of await alice.responses.create({ model: "gpt", input: "Hi", stream: true })) {
        if (event.type === "response.completed") {
          ({ id } = event.response);
        }
      }
      assert.equal(
        (await alice.responses.create({ model: "gpt", input: "?", previous_response_id: id })).status,
        "completed",
      );
      await refused(mallory.responses.retrieve(id), 404);
    });

    test("are nobody else's: neither by id, nor to go on with, nor by their items or containers", async () => {
      const made = await alice.responses.create({ model: "gpt", input: "Hi" });
      const [call, message] = made.output;
      assert.ok(call?.type === "code_interpreter_call" && message?.type === "message");
      const unknown = await refused(mallory.responses.retrieve("resp_unknown"), 404);
      for (const ask of [
        () => mallory.responses.retrieve(made.id),
        () => mallory.responses.delete(made.id),
        () => mallory.responses.cancel(made.id),
        () => mallory.responses.inputItems.list(made.id),
        () => mallory.responses.create({ model: "gpt", input: "?", previous_response_id: made.id }),
      ]) {
        assert.equal((await refused(ask(), 404)).replace(made.id, "resp_unknown"), unknown);
      }
      const use = (client: OpenAI, more: object) => client.responses.create({ model: "gpt", input: "?", ...more });
      for (const more of [
        { input: [{ type: "item_reference", id: message.id }] },
        { input: [{ id: message.id }] },
        { tools: [{ type: "code_interpreter", container: call.container_id }] },
        { input: [{ ...call }] },
      ]) {
        await refused(use(mallory, more), 404);
        assert.equal((await use(alice, more)).status, "completed", JSON.stringify(more));
      }
      await refused(use(alice, { tools: [{ type: "file_search", vector_store_ids: ["vs_1"] }] }), 400);
      assert.equal((await alice.responses.retrieve(made.id)).id, made.id);
    });

    test("of a team are its keys' alike", async () => {
      const { team } = await createTeam(context.gateway.url, context.gateway.adminKey);
      const [one, two] = [await clientOf({ teamId: team.id }), await clientOf({ teamId: team.id })];
      const made = await one.responses.create({ model: "gpt", input: "Hi" });
      assert.equal((await two.responses.retrieve(made.id)).id, made.id);
      await refused(alice.responses.retrieve(made.id), 404);
    });

    test("are not remembered where nothing is stored", async () => {
      const made = await alice.responses.create({ model: "gpt", input: "Hi", store: false });
      await refused(alice.responses.retrieve(made.id), 404);
    });

    test("show the caller its own ids of files", async () => {
      const file = await alice.files.create({ file: await toFile(Buffer.from("x"), "x"), purpose: "user_data" });
      const input = [{ role: "user" as const, content: [{ type: "input_file" as const, file_id: file.id }] }];
      const made = await alice.responses.create({ model: "gpt", input });
      assert.match(context.provider.requestsOf("m-1").at(-1)?.body.toString() ?? "", /"file_id":"file-secret\d+"/);
      const shown = JSON.stringify([made, await alice.responses.inputItems.list(made.id)]);
      assert.match(shown, new RegExp(file.id));
      assert.doesNotMatch(shown, /file-secret/);
    });

    test("made in the background are asked for later, and counted once", async () => {
      const { data: made, response } = await alice.responses
        .create({ model: "gpt", input: "Hi", background: true })
        .withResponse();
      assert.equal(made.status, "queued");
      const [begun] = await context.gateway.waitForRequest(response.headers.get("x-request-id") ?? "");
      assert.equal(begun?.costNanosUsd, 0n);
      keeping.complete();
      await alice.responses.retrieve(made.id);
      assert.equal((await alice.responses.retrieve(made.id)).status, "completed");
      const [stored] = await context.gateway.query("SELECT usage_attempt_id FROM owned.objects WHERE id = $1", [
        made.id,
      ]);
      const rows = await context.gateway.waitForRequest(String(stored?.["usage_attempt_id"]));
      assert.deepEqual(
        rows.map(({ operation, costNanosUsd }) => [operation, costNanosUsd]),
        // 20 tokens at $2 and 10 at $8 for a million.
        [[Operation.RESPONSE_USAGE, 120_000n]],
      );
      const other = await alice.responses.create({ model: "gpt", input: "Hi", background: true });
      assert.equal((await alice.responses.cancel(other.id)).status, "cancelled");
    });

    test("are bounded by a budget with all that they go on with, and not made in its background", async () => {
      // 30 stored tokens, some 100 bytes and 16 tokens of output cost less than 1,000,000 nano-dollars.
      const bounded = await clientOf({ budgetNanosUsd: 2_000_000n });
      const made = await bounded.responses.create({ model: "gpt", input: "Hi", max_output_tokens: 16 });
      const next = { model: "gpt", input: "?", previous_response_id: made.id, max_output_tokens: 16 };
      assert.equal((await bounded.responses.create(next)).status, "completed");
      await context.gateway.query("UPDATE owned.objects SET context_tokens = 1000000 WHERE id = $1", [made.id]);
      await refused(bounded.responses.create(next), 429);
      assert.match(await refused(bounded.responses.create({ ...next, background: true }), 403), /background/);
    });

    test("are refused by name where no target speaks the dialect", async () => {
      const message = await refused(alice.responses.create({ model: "claude", input: "?", background: true }), 400);
      assert.match(message, /background/);
      await refused(alice.responses.create({ model: "gpt", input: "?", conversation: "conv_1" }), 400);
    });
  },
);

async function createTeam(url: string, adminKey: string): Promise<{ readonly team: { readonly id: string } }> {
  const response = await fetch(`${url}/penstock.admin.v1.TeamService/CreateTeam`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${adminKey}` },
    body: JSON.stringify({ team: { displayName: "team", organizationId: "default" } }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  // What CreateTeam promises; what differs shows as a refused key.
  return (await response.json()) as { team: { id: string } };
}
