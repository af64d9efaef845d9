import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { createKeptLearner } from "./learn-kept.ts";

function learn(dialect: Dialect, stream: boolean, ...pieces: readonly string[]) {
  const learner = createKeptLearner(dialect, stream);
  for (const piece of pieces) {
    learner?.push(Buffer.from(piece));
  }
  return learner?.finish();
}
const event = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
const response = {
  id: "resp_1",
  store: true,
  status: "completed",
  output: [
    { id: "ci_1", type: "code_interpreter_call", container_id: "cntr_1" },
    { id: "sh_1", type: "shell_call", environment: { container_id: "cntr_2" } },
    { id: "msg_1", type: "message" },
  ],
  usage: { total_tokens: 30 },
};
const kept = {
  responseId: "resp_1",
  itemIds: ["ci_1", "sh_1", "msg_1"],
  contextTokens: 30n,
  unfinished: false,
  containerIds: ["cntr_1", "cntr_2"],
};

test("knows what is kept of a response, however its pieces are cut", () => {
  const text = JSON.stringify(response);
  assert.deepEqual(learn(Dialect.OPENAI_RESPONSES, false, text.slice(0, 20), text.slice(20)), kept);
});

test("knows what is kept of a stream by its last event, and of one that has only begun by its first", () => {
  const created = event({ type: "response.created", response: { ...response, status: "in_progress", output: [] } });
  const delta = event({ type: "response.output_text.delta", delta: '"output":' });
  const completed = event({ type: "response.completed", response });
  assert.deepEqual(learn(Dialect.OPENAI_RESPONSES, true, created, delta, completed), kept);
  const begun = learn(Dialect.OPENAI_RESPONSES, true, created);
  assert.deepEqual([begun?.responseId, begun?.unfinished], ["resp_1", true]);
});

test("keeps the containers of a response that is not stored, and nothing else of it", () => {
  const learned = learn(Dialect.OPENAI_RESPONSES, false, JSON.stringify({ ...response, store: false }));
  assert.deepEqual([learned?.responseId, learned?.containerIds], [undefined, ["cntr_1", "cntr_2"]]);
});

test("takes a container only from where Anthropic tells it", () => {
  const input = { container: { id: "container_of_another" } };
  const message = { content: [{ type: "tool_use", input }], container: { id: "container_1" } };
  assert.deepEqual(learn(Dialect.ANTHROPIC_MESSAGES, false, JSON.stringify(message))?.containerIds, ["container_1"]);
  const events = [
    event({ type: "message_start", message: { container: null } }),
    event({ type: "content_block_start", content_block: { type: "tool_use", input, container: input.container } }),
    event({ type: "message_delta", delta: { container: { id: "container_1" } } }),
  ];
  assert.deepEqual(learn(Dialect.ANTHROPIC_MESSAGES, true, ...events)?.containerIds, ["container_1"]);
});

test("learns nothing from what is no answer of the dialect", () => {
  for (const text of ["", "[]", "null", "{", '{"id":1,"output":"x","container_id":1}']) {
    const learned = learn(Dialect.OPENAI_RESPONSES, false, text);
    assert.deepEqual([learned?.responseId, learned?.itemIds, learned?.containerIds], [undefined, [], []], text);
  }
  assert.equal(createKeptLearner(Dialect.OPENAI_CHAT, true), undefined);
});
