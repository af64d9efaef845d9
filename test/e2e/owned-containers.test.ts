import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { inBothModes } from "../harness/both-modes.ts";
import { post } from "../harness/call-gateway.ts";
import { json, sse } from "../harness/provider-answers.ts";

const usage = { input_tokens: 3, output_tokens: 2 };
const container = (id: string) => ({ id, expires_at: "2030-01-01T00:00:00Z" });
const message = (id: string, content: readonly object[] = [{ type: "text", text: "Hi" }]) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "c-1",
  content,
  stop_reason: "end_turn",
  stop_sequence: null,
  usage,
  ...(id === "" ? {} : { container: container(id) }),
});

inBothModes(
  "containers of Anthropic's",
  ({ url }) => `
providers:
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  spare: { kind: anthropic, base_url: "${url}", api_key: sk-fake-spare }
models:
  claude: { route: [{ target: claude/c-1 }], fallback: [spare] }
  spare: { route: [{ target: spare/c-2 }] }
`,
  (context) => {
    const clientOf = async (): Promise<Anthropic> =>
      new Anthropic({
        baseURL: context.gateway.url,
        apiKey: (await context.gateway.createKey()).secret,
        maxRetries: 0,
      });
    const asked = { model: "claude", max_tokens: 16, messages: [{ role: "user" as const, content: "Hi" }] };
    const ask = async (client: Anthropic, more: object): Promise<number> => {
      try {
        await client.messages.create({ ...asked, ...more });
        return 200;
      } catch (error) {
        assert.ok(error instanceof Anthropic.APIError, String(error));
        return error.status ?? 0;
      }
    };

    test("are used again by whoever got them, at the provider that has them, and by nobody else", async () => {
      const alice = await clientOf();
      const mallory = await clientOf();
      context.provider.script("c-2", json(message("container_one")));
      await alice.messages.create({ ...asked, model: "spare" });
      for (const named of ["container_one", { id: "container_one", skills: [] }]) {
        assert.equal(await ask(mallory, { container: named }), 404);
        assert.equal(await ask(alice, { container: named }), 200);
        assert.equal(context.provider.requests.at(-1)?.headers["x-api-key"], "sk-fake-spare");
        assert.deepEqual(context.provider.requests.at(-1)?.json["container"], named);
      }
      assert.equal(await ask(mallory, { container: { skills: [{ type: "anthropic", skill_id: "pdf" }] } }), 200);
    });

    test("are remembered from streams, too", async () => {
      const alice = await clientOf();
      const begun = { ...message(""), content: [], stop_reason: null };
      const events = [
        { type: "message_start", message: begun },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
        { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } },
        { type: "content_block_stop", index: 0 },
        {
          type: "message_delta",
          delta: { stop_reason: "end_turn", stop_sequence: null, container: container("container_two") },
          usage,
        },
        { type: "message_stop" },
      ];
      context.provider.script(
        "c-1",
        {
          headers: { "content-type": "text/event-stream" },
          parts: events.map((event) => `event: ${event.type}\n${sse(event)}`),
        },
        json(message("container_two")),
      );
      await alice.messages.stream(asked).finalMessage();
      assert.equal(await ask(alice, { container: "container_two" }), 200);
      assert.equal(await ask(await clientOf(), { container: "container_two" }), 404);
    });

    test("are not taken from another by an answer that a caller puts together", async () => {
      const alice = await clientOf();
      const mallory = await clientOf();
      context.provider.script("c-1", json(message("container_three")));
      await alice.messages.create(asked);
      const input = { container: container("container_three"), message: { container: container("container_three") } };
      context.provider.script("c-1", json(message("", [{ type: "tool_use", id: "toolu_1", name: "f", input }])));
      await mallory.messages.create(asked);
      // Not even where its provider says so.
      context.provider.script("c-1", json(message("container_three")));
      await mallory.messages.create(asked);
      assert.equal(await ask(mallory, { container: "container_three" }), 404);
      assert.equal(await ask(alice, { container: "container_three" }), 200);
    });

    test("and files are refused in every place of a body that could name one", async () => {
      const target = { url: context.gateway.url, key: context.gateway.virtualKey };
      const before = context.provider.requests.length;
      for (const content of [
        { type: "document", source: { type: "file", file_id: "file_1" } },
        { type: "container_upload", file_id: "file_1" },
        { type: "tool_result", tool_use_id: "t", content: [{ type: "image", source: { type: "file", file_id: "f" } }] },
      ]) {
        const body = { ...asked, messages: [{ role: "user", content: [content] }] };
        assert.equal((await post(target, "/v1/messages", body)).status, 404, JSON.stringify(content));
      }
      assert.equal(context.provider.requests.length, before);
      // What a tool is given is the caller's own business.
      const used = [{ type: "tool_use", id: "toolu_1", name: "f", input: { file_id: "x", container: "y" } }];
      const result = [{ type: "tool_result", tool_use_id: "toolu_1", content: "z" }];
      const messages = [
        { role: "user", content: "Hi" },
        { role: "assistant", content: used },
        { role: "user", content: result },
      ];
      context.provider.script("c-1", json(message("")));
      assert.equal((await post(target, "/v1/messages", { ...asked, messages })).status, 200);
    });
  },
);
