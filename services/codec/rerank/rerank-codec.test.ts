import assert from "node:assert/strict";
import { test } from "node:test";
import { CodecError, type JsonObject, ProviderStreamError } from "../codec.ts";
import {
  decodeRerankAnswer,
  decodeRerankRequest,
  encodeRerankAnswer,
  encodeRerankRequest,
  isForwardable,
  rerankForms,
} from "./rerank-codec.ts";

const plain = { model: "m", query: "q", documents: ["a", "b"] };
const forwardedTo = (more: JsonObject): readonly string[] =>
  Object.entries(rerankForms)
    .filter(([, form]) => isForwardable({ ...plain, ...more }, decodeRerankRequest({ ...plain, ...more }), form))
    .map(([name]) => name);

test("passes a request on where the provider has the same form, and only there", () => {
  assert.deepEqual(forwardedTo({ top_n: 1, unheard_of: 1 }), ["cohere", "jina"]);
  assert.deepEqual(forwardedTo({ return_documents: true }), ["jina"]);
  assert.deepEqual(forwardedTo({ documents: [{ text: "a" }] }), ["jina"]);
  assert.deepEqual(forwardedTo({ top_k: 1 }), ["voyage"]);
  assert.deepEqual(forwardedTo({ top_k: null, truncation: true, return_documents: true }), ["voyage"]);
});

test("writes each form, and names what it leaves out", () => {
  const request = decodeRerankRequest({
    ...plain,
    documents: ["a", { text: "b" }],
    top_k: 1,
    max_tokens_per_doc: 9,
  });
  assert.deepEqual(encodeRerankRequest(request, rerankForms.voyage, "v"), {
    body: { model: "v", query: "q", documents: ["a", "b"], top_k: 1 },
    dropped: ["max_tokens_per_doc"],
  });
  assert.deepEqual(encodeRerankRequest(request, rerankForms.cohere, "c"), {
    body: { model: "c", query: "q", documents: ["a", "b"], top_n: 1, max_tokens_per_doc: 9 },
    dropped: [],
  });
  assert.throws(
    () => encodeRerankRequest(decodeRerankRequest({ ...plain, documents: [{ image: "x" }] }), rerankForms.voyage, "v"),
    (error) => error instanceof CodecError && error.code === "unsupported_feature",
  );
});

test("reads every form of answer, and writes the callers'", () => {
  const request = decodeRerankRequest({ ...plain, return_documents: true });
  const results = [{ index: 1, relevance_score: 0.5 }];
  const answers: readonly (readonly [JsonObject, JsonObject])[] = [
    [
      { id: "i", results, meta: { billed_units: { search_units: 2 } } },
      { id: "i", meta: { billed_units: { search_units: 2 } } },
    ],
    [{ object: "list", data: results, usage: { total_tokens: 4 } }, { usage: { total_tokens: 4 } }],
    [{ results: [{ index: 1, score: 0.5 }], usage: { prompt_tokens: 5 } }, { usage: { total_tokens: 5 } }],
  ];
  for (const [body, rest] of answers) {
    assert.deepEqual(encodeRerankAnswer(decodeRerankAnswer(body), request, "m"), {
      model: "m",
      results: [{ index: 1, relevance_score: 0.5, document: { text: "b" } }],
      ...rest,
    });
  }
  const [first] = answers;
  assert.deepEqual(encodeRerankAnswer(decodeRerankAnswer(first?.[0] ?? {}), { ...request, form: "voyage" }, "m"), {
    object: "list",
    data: [{ relevance_score: 0.5, index: 1, document: "b" }],
    model: "m",
    usage: { total_tokens: 0 },
  });
  assert.throws(() => decodeRerankAnswer({ error: { message: "no" } }), ProviderStreamError);
  for (const body of [{}, { results: "x" }, { results: [{}] }, { results: [{ index: 0 }] }]) {
    assert.throws(() => decodeRerankAnswer(body), CodecError);
  }
});

test("refuses requests that no provider takes", () => {
  const cases: readonly (readonly [JsonObject, string])[] = [
    [{ documents: ["a"] }, "query"],
    [{ query: 1, documents: ["a"] }, "query"],
    [{ query: "q" }, "documents"],
    [{ query: "q", documents: "a" }, "documents"],
    [{ query: "q", documents: [] }, "documents"],
    [{ query: "q", documents: [null] }, "documents[0]"],
    [{ query: "q", documents: ["a"], top_n: 1.5 }, "top_n"],
    [{ query: "q", documents: ["a"], top_k: 0 }, "top_k"],
  ];
  for (const [body, param] of cases) {
    assert.throws(
      () => decodeRerankRequest(body),
      (error) => error instanceof CodecError && error.param === param,
      JSON.stringify(body),
    );
  }
});
