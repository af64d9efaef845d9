import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { UsageEventSchema } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { writeUsageEventJson } from "./usage-event-json.ts";

const full = create(UsageEventSchema, {
  attemptId: "019a",
  requestId: "req_1",
  attemptIndex: 2,
  keyId: "k",
  teamId: "t",
  organizationId: "o",
  tags: { a: 'ü"\n', b: "" },
  operation: 1,
  dialect: 3,
  stream: true,
  requestedModel: "m",
  provider: "p",
  model: "pm",
  outcome: 3,
  errorReason: 25,
  httpStatus: 502,
  usage: {
    uncachedInputTokens: 1n,
    cacheReadTokens: 2n,
    cacheWriteTokens: 3n,
    outputTokens: 9_007_199_254_740_993n,
    reasoningTokens: 4n,
    cacheWrite1hTokens: 5n,
    audioInputTokens: 6n,
    audioOutputTokens: 7n,
    estimated: true,
  },
  costNanosUsd: 123_456_789_012_345_678n,
  priceSource: "override",
  leaseIds: ["l"],
  finishReason: 2,
  providerRequestId: "pr",
  startTime: timestampFromMs(1_700_000_000_123),
  firstTokenLatency: durationFromMs(7),
  totalLatency: durationFromMs(61_020),
  final: true,
});

test("writes a full event as protobuf's own writer does", () => {
  assert.deepEqual(JSON.parse(writeUsageEventJson(full)), toJson(UsageEventSchema, full));
});

test("writes an empty event, whole seconds and a value of a newer version as protobuf's own writer does", () => {
  for (const event of [
    create(UsageEventSchema),
    create(UsageEventSchema, {
      startTime: timestampFromMs(1_700_000_000_000),
      totalLatency: durationFromMs(2_000),
      firstTokenLatency: durationFromMs(0),
      usage: {},
    }),
    create(UsageEventSchema, { outcome: 999 as never }),
  ]) {
    assert.deepEqual(JSON.parse(writeUsageEventJson(event)), toJson(UsageEventSchema, event));
  }
});
