import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { ProviderStreamError, type StreamObserver } from "../codec.ts";
import {
  azureStream,
  completeStreams,
  failedStreams,
  markerlessStream,
  plainStream,
  twoCandidatesStream,
  unterminatedStream,
} from "./stream-fixtures.ts";
import { createStreamObserver } from "./stream-observer.ts";

interface Observed {
  readonly forwarded: string;
  readonly observer: StreamObserver;
}

function observe(pieces: readonly Uint8Array[], stripUsage = false): Observed {
  const observer = createStreamObserver({ stripUsage });
  const forwarded = Buffer.concat(pieces.map((piece) => observer.push(piece))).toString("utf8");
  return { forwarded, observer };
}

function facts({ forwarded, observer }: Observed): unknown {
  const { contentSeen, complete, usage, finishReason, pendingBytes } = observer;
  return { forwarded, contentSeen, complete, usage, finishReason, pendingBytes };
}

function withoutUsageChunk(text: string): string {
  return text.replace(/data: [^\n]*"choices":\[\],"usage":\{[^\n]*\n\n/, "");
}

for (const { name, text } of completeStreams) {
  for (const stripUsage of [false, true]) {
    test(`forwards ${name} the same when cut at every byte, ${stripUsage ? "without" : "with"} the usage chunk`, () => {
      const bytes = Buffer.from(text);
      const whole = observe([bytes], stripUsage);
      assert.equal(whole.forwarded, stripUsage ? withoutUsageChunk(text) : text);
      assert.equal(whole.observer.contentSeen, true);
      assert.notEqual(whole.observer.finishReason, FinishReason.UNSPECIFIED);
      for (let cut = 0; cut <= bytes.length; cut++) {
        const parts = observe([bytes.subarray(0, cut), bytes.subarray(cut)], stripUsage);
        assert.deepEqual(facts(parts), facts(whole), `cut at ${cut}`);
      }
    });
  }
}

test("strips exactly the usage chunk", () => {
  assert.notEqual(withoutUsageChunk(plainStream.text), plainStream.text);
  const { forwarded, observer } = observe([Buffer.from(plainStream.text)], true);
  assert.equal(forwarded, withoutUsageChunk(plainStream.text));
  assert.equal(observer.usage?.outputTokens, 5n);
  assert.equal(observe([Buffer.from(azureStream.text)], true).forwarded, azureStream.text);
  assert.equal(observe([Buffer.from(markerlessStream.text)], true).forwarded, markerlessStream.text);
});

test("forwards whole events only, byte for byte, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.constantFrom(...completeStreams), fc.array(fc.nat(3000), { maxLength: 10 }), ({ text }, cuts) => {
      const bytes = Buffer.from(text);
      const borders = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
      const observer = createStreamObserver({ stripUsage: false });
      let forwarded = Buffer.alloc(0);
      for (const [index, border] of borders.slice(1).entries()) {
        forwarded = Buffer.concat([forwarded, observer.push(bytes.subarray(borders[index], border))]);
        assert.equal(forwarded.length + observer.pendingBytes, border);
        assert.ok(observer.complete || forwarded.length === 0 || /[\r\n]$/.test(forwarded.toString("latin1")));
      }
      assert.deepEqual(forwarded, bytes);
    }),
  );
});

for (const { name, text } of failedStreams) {
  test(`throws the provider's error for ${name}, cut at every byte`, () => {
    const bytes = Buffer.from(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.throws(() => observe([bytes.subarray(0, cut), bytes.subarray(cut)]), ProviderStreamError, `cut at ${cut}`);
    }
  });
}

test("sees content only once there is some", () => {
  const observer = createStreamObserver({ stripUsage: false });
  observer.push(Buffer.from(": ping\n\n"));
  observer.push(Buffer.from('data: {"choices":[],"prompt_filter_results":[]}\n\n'));
  observer.push(
    Buffer.from('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'),
  );
  assert.equal(observer.contentSeen, false);
  assert.equal(observer.countedOutputTokens, 0);
  observer.push(Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'));
  assert.equal(observer.contentSeen, true);
});

test("does not take words of the answer for its end, its usage or an error", () => {
  const content = '"usage":{"prompt_tokens":1} "finish_reason":"stop" [DONE] event: error {"error":{"message":"x"}}';
  const text = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
  const observer = createStreamObserver({ stripUsage: true });
  assert.equal(observer.push(Buffer.from(text)).length, text.length);
  assert.equal(observer.push(Buffer.from(text)).length, text.length);
  assert.equal(observer.complete, false);
  assert.equal(observer.usage, undefined);
  assert.equal(observer.finishReason, FinishReason.UNSPECIFIED);
});

test("is complete with the final marker only, and says when a finish came without", () => {
  const { observer } = observe([Buffer.from(markerlessStream.text)]);
  assert.equal(observer.complete, false);
  assert.equal(observer.finishReason, FinishReason.LENGTH);
  assert.equal(observer.pendingBytes, 0);
  assert.equal(observe([Buffer.from(unterminatedStream.text)]).observer.complete, true);
  assert.equal(observe([Buffer.from(unterminatedStream.text)]).observer.pendingBytes, 0);
});

test("tells the finish of the first candidate", () => {
  assert.equal(observe([Buffer.from(twoCandidatesStream.text)]).observer.finishReason, FinishReason.LENGTH);
});

test("holds back an event that is not whole", () => {
  const half = 'data: {"choices":[{"index":0,"delta":{"content":"a"}';
  const { forwarded, observer } = observe([Buffer.from(half)]);
  assert.equal(forwarded, "");
  assert.equal(observer.pendingBytes, half.length);
});

test("counts tokens by chunks, and by bytes where chunks hold many", () => {
  const small = 'data: {"choices":[{"index":0,"delta":{"content":" a"},"finish_reason":null}]}\n\n';
  assert.equal(observe(Array.from({ length: 50 }, () => Buffer.from(small))).observer.countedOutputTokens, 50);
  const words = "some words ".repeat(40);
  const large = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: words }, finish_reason: null }] })}\n\n`;
  const counted = observe(Array.from({ length: 50 }, () => Buffer.from(large))).observer.countedOutputTokens;
  assert.ok(counted > 50 * 100 && counted < 50 * 120, String(counted));
});
