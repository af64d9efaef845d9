import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CodecError } from "#codec/codec.ts";
import { ObjectKind, OwnedObjectSchema } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { KeyRecordSchema } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf } from "#kit/errors/gateway-error.ts";
import type { ObjectRegistry } from "./object-registry.ts";
import { readReferences, resolveReferences } from "./resolve-references.ts";

const named = (dialect: Dialect, body: object) => {
  const references = readReferences(Buffer.from(JSON.stringify(body)), dialect);
  return references === undefined
    ? undefined
    : [...references.files, ...references.containers, ...references.items, references.response]
        .filter((found) => found !== undefined)
        .map(({ value }) => value);
};

test("finds what a request of the Responses API refers to", () => {
  const cases: readonly (readonly [object, readonly string[]])[] = [
    [{ previous_response_id: "a" }, ["a"]],
    [{ input: [{ type: "item_reference", id: "a" }, { id: "b" }] }, ["a", "b"]],
    [{ input: [{ type: "image_generation_call", id: "a", result: null }] }, ["a"]],
    [{ input: [{ role: "user", content: [{ type: "input_image", file_id: "a" }] }] }, ["a"]],
    [{ input: [{ type: "function_call_output", output: [{ type: "input_file", file_id: "a" }] }] }, ["a"]],
    [{ tools: [{ type: "code_interpreter", container: "a" }] }, ["a"]],
    [{ tools: [{ type: "code_interpreter", container: { type: "auto", file_ids: ["a", "b"] } }] }, ["a", "b"]],
    [{ tools: [{ type: "shell", environment: { type: "container_reference", container_id: "a" } }] }, ["a"]],
    [{ input: [{ type: "code_interpreter_call", id: "x", container_id: "a" }] }, ["a"]],
  ];
  for (const [body, expected] of cases) {
    assert.deepEqual(named(Dialect.OPENAI_RESPONSES, { model: "m", ...body }), expected, JSON.stringify(body));
  }
});

test("finds nothing in what is sent along, cited, or the caller's own", () => {
  const cases: readonly object[] = [
    {
      input: [
        { type: "message", id: "a", role: "user", content: "x" },
        { type: "reasoning", id: "b", summary: [] },
      ],
    },
    { input: [{ type: "image_generation_call", id: "a", result: "aGk=" }] },
    { input: [{ role: "assistant", content: [{ type: "output_text", annotations: [{ file_id: "a" }] }] }] },
    { metadata: { file_id: "a", container: "b" }, previous_response_id: null, tools: [{ container: null }] },
    { tools: [{ type: "function", parameters: { properties: { file_id: { default: "a" } }, file_id: "a" } }] },
    { input: "file_id previous_response_id container" },
  ];
  for (const body of cases) {
    assert.equal(named(Dialect.OPENAI_RESPONSES, body), undefined, JSON.stringify(body));
  }
  const used = { content: [{ type: "tool_use", id: "t", input: { file_id: "a", container: "b" } }] };
  assert.equal(named(Dialect.ANTHROPIC_MESSAGES, { messages: [used], metadata: { user_id: "u" } }), undefined);
});

test("refuses vector stores, which are nobody's", () => {
  const tools = [{ type: "file_search", vector_store_ids: ["vs_1"] }];
  assert.throws(() => named(Dialect.OPENAI_RESPONSES, { tools }), CodecError);
});

const key = create(KeyRecordSchema, { id: "k" });
const object = (id: string, kind: ObjectKind, provider: string, contextTokens?: bigint) =>
  create(OwnedObjectSchema, {
    id,
    kind,
    provider,
    providerId: `provider-${id}`,
    itemIds: [`item-of-${id}`],
    ...(contextTokens === undefined ? {} : { contextTokens }),
  });
const objects = [
  object("f1", ObjectKind.FILE, "p"),
  object("f2", ObjectKind.FILE, "q"),
  object("r1", ObjectKind.RESPONSE, "p", 7n),
  object("r2", ObjectKind.RESPONSE, "p"),
];
const unused = (): never => assert.fail("not asked");
const registry: ObjectRegistry = {
  find: async (_key, kind, ids) => objects.filter((known) => known.kind === kind && ids.includes(known.id)),
  findByItems: async (_key, items) => objects.filter(({ itemIds }) => itemIds.some((id) => items.includes(id))),
  findFilesAt: unused,
  get: unused,
  list: unused,
  put: unused,
  delete: unused,
};

async function resolve(body: object) {
  const bytes = Buffer.from(JSON.stringify(body));
  const references = readReferences(bytes, Dialect.OPENAI_RESPONSES);
  assert.ok(references);
  return await resolveReferences(bytes, references, key, registry);
}

test("puts the provider's ids of files in, names the provider, and counts what is stored once", async () => {
  const resolved = await resolve({
    previous_response_id: "r1",
    input: [{ id: "item-of-r1" }, { role: "user", content: [{ type: "input_file", file_id: "f1" }] }],
  });
  assert.match(resolved.body.toString(), /"file_id":"provider-f1"/);
  assert.match(resolved.body.toString(), /"previous_response_id":"r1"/);
  assert.equal(resolved.provider, "p");
  assert.equal(resolved.contextTokens, 7n);
  assert.deepEqual([...resolved.fileIds], [["provider-f1", "f1"]]);
});

test("takes a response of unknown size for the largest that there is", async () => {
  assert.equal((await resolve({ previous_response_id: "r2" })).contextTokens, 2_000_000n);
});

test("refuses what is unknown, and what is kept at two places", async () => {
  for (const body of [{ previous_response_id: "x" }, { input: [{ id: "x" }] }, { input: [{ file_id: "x" }] }]) {
    await assert.rejects(resolve(body), (error) => errorDetailOf(error).reason === ErrorReason.NOT_FOUND);
  }
  await assert.rejects(resolve({ previous_response_id: "r1", input: [{ role: "user", file_id: "f2" }] }), CodecError);
});
