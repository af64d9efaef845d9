import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../codec.ts";
import { mapUsage, writeUsage } from "./map-usage.ts";

/** Uncached input, cache read, cache write, output, reasoning. */
function classes(native: Json): readonly number[] | undefined {
  const usage = mapUsage(native);
  return (
    usage &&
    [
      usage.uncachedInputTokens,
      usage.cacheReadTokens,
      usage.cacheWriteTokens,
      usage.outputTokens,
      usage.reasoningTokens,
    ].map(Number)
  );
}

const table: readonly (readonly [string, Json, readonly number[] | undefined])[] = [
  ["nothing", null, undefined],
  ["a string", "12", undefined],
  ["an empty object", {}, undefined],
  ["plain counts", { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }, [10, 0, 0, 5, 0]],
  [
    "OpenAI's details",
    {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 2 },
    },
    [3, 4, 3, 5, 2],
  ],
  [
    "DeepSeek's cache hits",
    { prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 8, prompt_cache_miss_tokens: 2 },
    [2, 8, 0, 1, 0],
  ],
  ["Mistral's cache hits", { prompt_tokens: 10, completion_tokens: 1, num_cached_tokens: 7 }, [3, 7, 0, 1, 0]],
  [
    "xAI's reasoning beside the completion",
    {
      prompt_tokens: 401,
      completion_tokens: 44,
      total_tokens: 702,
      completion_tokens_details: { reasoning_tokens: 257 },
    },
    [401, 0, 0, 301, 257],
  ],
  [
    "reasoning that only the total counts",
    { prompt_tokens: 66, completion_tokens: 6, total_tokens: 100 },
    [66, 0, 0, 34, 28],
  ],
  [
    "more reasoning than completion",
    { prompt_tokens: 40, completion_tokens: 14, total_tokens: 54, completion_tokens_details: { reasoning_tokens: 43 } },
    [40, 0, 0, 43, 43],
  ],
  [
    "more cached than prompt",
    { prompt_tokens: 347, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 403 } },
    [0, 347, 0, 1, 0],
  ],
  [
    "more written than left",
    { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 6, cache_write_tokens: 9 } },
    [0, 6, 4, 1, 0],
  ],
  ["negative counts", { prompt_tokens: -5, completion_tokens: -1 }, undefined],
  ["a negative count beside a good one", { prompt_tokens: 5, completion_tokens: -1 }, undefined],
  ["a negative count of a part", { prompt_tokens: 5, prompt_tokens_details: { cached_tokens: -1 } }, [5, 0, 0, 0, 0]],
  ["fractions", { prompt_tokens: 5.9, completion_tokens: 1.2 }, [5, 0, 0, 1, 0]],
  ["numbers as strings", { prompt_tokens: "12", completion_tokens: "0" }, [12, 0, 0, 0, 0]],
  ["other strings", { prompt_tokens: "12", completion_tokens: "many" }, undefined],
  ["objects for counts", { prompt_tokens: {}, completion_tokens: 1 }, undefined],
  ["null counts", { prompt_tokens: null, completion_tokens: null, prompt_tokens_details: null }, [0, 0, 0, 0, 0]],
  ["counts beyond all reason", { prompt_tokens: 1e300, completion_tokens: 1 }, [Number.MAX_SAFE_INTEGER, 0, 0, 1, 0]],
];

for (const [name, native, expected] of table) {
  test(`reads ${name}`, () => {
    assert.deepEqual(classes(native), expected);
  });
}

test("writes what it reads", () => {
  const native = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 15,
    prompt_tokens_details: { cached_tokens: 4, audio_tokens: 2, cache_write_tokens: 3 },
    completion_tokens_details: {
      reasoning_tokens: 2,
      audio_tokens: 1,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
  const usage = mapUsage(native);
  assert.ok(usage);
  assert.deepEqual(writeUsage(usage), native);
});
