import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CodecError } from "#codec/codec.ts";
import { ExecuteRequestSchema } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { createCallerCodecs } from "../caller-codecs.ts";
import { createProviderSet } from "../create-provider-set.ts";
import { providersConfig } from "../config.ts";
import { prepareAttempt } from "./prepare-attempt.ts";

const providers = createProviderSet(
  providersConfig.parse({
    openai: { kind: "openai", api_key: "sk-1" },
    mistral: { kind: "mistral", api_key: "sk-2" },
    claude: { kind: "anthropic", api_key: "sk-3" },
  }),
  { random: () => 0, now: () => 0 },
);
const callers = createCallerCodecs();

function prepare(provider: string, init: MessageInitShape<typeof ExecuteRequestSchema>) {
  const account = providers.get(provider);
  assert.ok(account);
  const prepared = prepareAttempt(create(ExecuteRequestSchema, init), account, callers, () => ({
    fallbackId: "",
    fallbackCreated: 0,
  }));
  assert.ok("request" in prepared);
  return prepared;
}

test("asks for each thing by its method and path", () => {
  const cases = [
    [Operation.CREATE_FILE, Dialect.OPENAI_CHAT, "", "POST /v1/files"],
    [Operation.GET_FILE, Dialect.OPENAI_CHAT, "file-1", "GET /v1/files/file-1"],
    [Operation.GET_FILE_CONTENT, Dialect.OPENAI_CHAT, "file-1", "GET /v1/files/file-1/content"],
    [Operation.DELETE_FILE, Dialect.OPENAI_CHAT, "../x?y", "DELETE /v1/files/..%2Fx%3Fy"],
    [Operation.CREATE_BATCH, Dialect.OPENAI_CHAT, "", "POST /v1/batches"],
    [Operation.CANCEL_BATCH, Dialect.OPENAI_CHAT, "batch_1", "POST /v1/batches/batch_1/cancel"],
    [Operation.GET_RESPONSE, Dialect.OPENAI_RESPONSES, "resp_1", "GET /v1/responses/resp_1"],
    [Operation.CANCEL_RESPONSE, Dialect.OPENAI_RESPONSES, "resp_1", "POST /v1/responses/resp_1/cancel"],
    [Operation.LIST_RESPONSE_INPUT, Dialect.OPENAI_RESPONSES, "resp_1", "GET /v1/responses/resp_1/input_items"],
  ] as const;
  for (const [operation, dialect, id, expected] of cases) {
    const { method, path } = prepare("openai", { operation, dialect, keptObject: { id } }).request;
    assert.equal(`${method} ${path}`, expected);
  }
});

test("passes a query on, names the type of a body that is there, and has the key", () => {
  const asked = { dialect: Dialect.OPENAI_RESPONSES, keptObject: { id: "resp_1", query: "limit=5" } };
  const listed = prepare("openai", { operation: Operation.LIST_RESPONSE_INPUT, ...asked }).request;
  assert.equal(listed.path, "/v1/responses/resp_1/input_items?limit=5");
  assert.ok(!listed.headers.includes("content-type"));
  assert.ok(listed.headers.includes("Bearer sk-1"));
  const made = prepare("openai", {
    operation: Operation.CREATE_FILE,
    dialect: Dialect.OPENAI_CHAT,
    contentType: "multipart/form-data; boundary=b",
    body: Buffer.from("--b--"),
  }).request;
  assert.equal(made.headers[made.headers.indexOf("content-type") + 1], "multipart/form-data; boundary=b");
});

test("says that a provider does not have what is asked for, so that another is asked", () => {
  const cases = [
    ["claude", Operation.CREATE_FILE, Dialect.OPENAI_CHAT],
    ["mistral", Operation.CREATE_BATCH, Dialect.OPENAI_CHAT],
    ["mistral", Operation.GET_RESPONSE, Dialect.OPENAI_RESPONSES],
  ] as const;
  for (const [provider, operation, dialect] of cases) {
    assert.throws(
      () => prepare(provider, { operation, dialect }),
      (error) => error instanceof CodecError && error.code === "unsupported_feature",
    );
  }
});

test("gives the content of a file as bytes, an empty one too, whatever its type", () => {
  const { createReader } = prepare("openai", {
    operation: Operation.GET_FILE_CONTENT,
    dialect: Dialect.OPENAI_CHAT,
    keptObject: { id: "file-1" },
  });
  const reader = createReader("text/html");
  assert.equal(reader?.contentType, "application/octet-stream");
  assert.equal(reader.finish()?.end.usage?.outputTokens, 0n);
});
