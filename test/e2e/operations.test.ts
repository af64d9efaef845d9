import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";
import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { post } from "../harness/call-gateway.ts";
import { json, sse, stream } from "../harness/provider-answers.ts";
import type { ProviderRequest, ScriptedAnswer } from "../harness/fake-provider.ts";

const sound = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 7) % 256));
const picture = { created: 1, data: [{ b64_json: "aGVsbG8=" }] };
const drawn = {
  ...picture,
  usage: {
    total_tokens: 286,
    input_tokens: 14,
    output_tokens: 272,
    input_tokens_details: { text_tokens: 14, image_tokens: 0 },
  },
};
const transcript = {
  text: "Hello friend.",
  usage: {
    type: "tokens",
    total_tokens: 30,
    input_tokens: 20,
    output_tokens: 10,
    input_token_details: { text_tokens: 0, audio_tokens: 20 },
  },
};
const audio = (bytes: Buffer): ScriptedAnswer => ({ headers: { "content-type": "audio/mpeg" }, parts: [bytes] });

/** The fields of a multipart body by name, as any server's parser reads them. */
async function formOf(request: ProviderRequest | undefined): Promise<FormData> {
  const type = String(request?.headers["content-type"]);
  return await new Response(new Uint8Array(request?.body ?? []), { headers: { "content-type": type } }).formData();
}

inBothModes(
  "operations that are forwarded",
  ({ url }) => `
providers:
  openai: { kind: openai, base_url: "${url}/v1", api_key: sk-fake-openai }
  claude: { kind: anthropic, base_url: "${url}", api_key: sk-fake-claude }
  azure: { kind: azure-openai, base_url: "${url}", api_key: sk-fake-azure, api_version: v1 }
models:
  media: { route: [{ target: openai/media-1 }], retry: { attempts: 1 } }
  omni-moderation-latest: { route: [{ target: openai/moderation-1 }] }
  either: { route: [{ target: claude/sonnet-1 }], fallback: [media] }
  sonnet: { route: [{ target: claude/sonnet-1 }] }
  free: { route: [{ target: openai/unpriced-1 }] }
cache: { exact: { ttl: 10m } }
prices:
  overrides:
    openai/media-1: { input: $1/M, output: $10/M }
    claude/sonnet-1: { input: $1/M, output: $10/M }
`,
  (context) => {
    const target = (key = context.gateway.virtualKey) => ({ url: context.gateway.url, key });
    const client = (apiKey = context.gateway.virtualKey) =>
      new OpenAI({ apiKey, baseURL: `${context.gateway.url}/v1`, maxRetries: 0 });
    const last = (model: string) => context.provider.requestsOf(model).at(-1);
    const wav = () => toFile(sound, "speech.wav", { type: "audio/wav" });
    const send = (path: string, body: string, contentType?: string) =>
      fetch(context.gateway.url + path, {
        method: "POST",
        headers: {
          authorization: `Bearer ${context.gateway.virtualKey}`,
          ...(contentType === undefined ? {} : { "content-type": contentType }),
        },
        body,
      });

    test("a moderation goes to OpenAI, for nothing, also where no model is named", async () => {
      const answer = { id: "modr-1", model: "omni", results: [{ flagged: true }] };
      context.provider.script("moderation-1", json(answer));
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 1n });
      const found = await client(secret).moderations.create({ input: "I want to harm the robots" });
      assert.equal(found.results[0]?.flagged, true);
      assert.deepEqual(last("moderation-1")?.json, { model: "moderation-1", input: "I want to harm the robots" });
      const named = await post(target(), "/v1/moderations", { input: ["a"], model: "omni-moderation-latest" });
      assert.equal(named.text, JSON.stringify(answer));
      assert.equal(named.headers.get("x-penstock-cost-usd"), "0.000000000");
    });

    test("an image is made and paid for by its tokens", async () => {
      context.provider.script("media-1", json(drawn));
      const { secret, key } = await context.gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      const made = await client(secret).images.generate({ model: "media", prompt: "a circle", quality: "low" });
      assert.equal(made.data?.[0]?.b64_json, "aGVsbG8=");
      assert.equal(last("media-1")?.path, "/v1/images/generations");
      assert.deepEqual(last("media-1")?.json, { model: "media-1", prompt: "a circle", quality: "low" });
      const rows = await context.gateway.waitForLedger((all) => all.some((row) => row.keyId === key.id && row.final));
      const row = rows.find((each) => each.keyId === key.id);
      assert.equal(row?.costNanosUsd, 14n * 1_000n + 272n * 10_000n);
      assert.equal(row.usage?.estimated, false);
    });

    test("pictures that are larger together than any message between services arrive whole", async () => {
      const answer = JSON.stringify({ created: 1, data: [{ b64_json: "QUJD".repeat(11 * 1024 * 1024) }] });
      context.provider.script("media-1", { parts: [answer] });
      const body = JSON.stringify({ model: "media", prompt: "large" });
      const made = await send("/v1/images/generations", body, "application/json");
      assert.equal((await made.text()) === answer, true);
    });

    test("an image is streamed with its pictures on the way, and its usage read", async () => {
      const done = { type: "image_generation.completed", b64_json: "aGVsbG8=", usage: drawn.usage };
      const events = [{ type: "image_generation.partial_image", partial_image_index: 0, b64_json: "aGU=" }, done];
      context.provider.script("media-1", {
        headers: { "content-type": "text/event-stream" },
        parts: events.map((event) => `event: ${event.type}\n${sse(event)}`),
      });
      const types: string[] = [];
      const asked = { model: "media", prompt: "a circle", stream: true, partial_images: 1 } as const;
      for await (const event of await client().images.generate(asked)) {
        types.push(event.type);
      }
      assert.deepEqual(types, ["image_generation.partial_image", "image_generation.completed"]);
      const raw = await post(target(), "/v1/images/generations", asked);
      assert.equal(raw.text, events.map((event) => `event: ${event.type}\n${sse(event)}`).join(""));
      const [row] = await context.gateway.waitForRequest(raw.requestId);
      assert.equal(row?.usage?.outputTokens, 272n);
    });

    test("a stream of images that lacks its last event is not whole", async () => {
      context.provider.script("media-1", stream([{ type: "image_generation.partial_image", b64_json: "aGU=" }]));
      const cut = await post(target(), "/v1/images/generations", { model: "media", prompt: "x", stream: true });
      assert.match(cut.events.at(-1) ?? "", /"error"/);
      const [row] = await context.gateway.waitForRequest(cut.requestId);
      assert.notEqual(row?.costNanosUsd, 0n);
    });

    test("images are changed by a form whose only other field is the model, or by JSON", async () => {
      context.provider.script("media-1", json(drawn));
      const changed = await client().images.edit({
        model: "media",
        image: [await toFile(sound, "a.png", { type: "image/png" }), await toFile(sound, "b.png")],
        prompt: "greener",
        n: 2,
      });
      assert.equal(changed.data?.length, 1);
      const form = await formOf(last("media-1"));
      assert.equal(form.get("model"), "media-1");
      assert.equal(form.get("prompt"), "greener");
      const files = form.getAll("image[]");
      assert.equal(files.length, 2);
      const [file] = files;
      assert.ok(file instanceof File);
      assert.deepEqual(Buffer.from(await file.arrayBuffer()), sound);
      const body = { model: "media", prompt: "greener", images: [{ image_url: "https://example.com/a.png" }] };
      assert.equal((await post(target(), "/v1/images/edits", body)).text, JSON.stringify(drawn));
      assert.deepEqual(last("media-1")?.json, { ...body, model: "media-1" });
    });

    test("speech comes as the provider's bytes, with their type", async () => {
      context.provider.script("media-1", audio(sound));
      const spoken = await client().audio.speech.create({ model: "media", voice: "alloy", input: "Hello" });
      assert.equal(spoken.headers.get("content-type"), "audio/mpeg");
      assert.deepEqual(Buffer.from(await spoken.arrayBuffer()), sound);
      const [row] = await context.gateway.waitForRequest(spoken.headers.get("x-request-id") ?? "");
      assert.equal(row?.usage?.estimated, true);
      assert.ok((row.costNanosUsd ?? 0n) > 0n);
    });

    test("speech that is cut is not whole", async () => {
      context.provider.script("media-1", { ...audio(sound), ending: "cut" });
      const cut = await send(
        "/v1/audio/speech",
        JSON.stringify({ model: "media", input: "Hello" }),
        "application/json",
      );
      await assert.rejects(cut.arrayBuffer());
    });

    test("speech is streamed as events where that is asked for", async () => {
      const done = { type: "speech.audio.done", usage: { input_tokens: 4, output_tokens: 9, total_tokens: 13 } };
      context.provider.script("media-1", stream([{ type: "speech.audio.delta", audio: "aGU=" }, done]));
      const body = { model: "media", input: "Hello", voice: "alloy", stream_format: "sse" };
      const spoken = await post(target(), "/v1/audio/speech", body);
      assert.equal(spoken.events.length, 2);
      const [row] = await context.gateway.waitForRequest(spoken.requestId);
      assert.equal(row?.costNanosUsd, 4n * 1_000n + 9n * 10_000n);
    });

    test("speech is written down, as JSON, subtitles or events, and translated", async () => {
      context.provider.script("media-1", json(transcript));
      const written = await client().audio.transcriptions.create({ model: "media", file: await wav() });
      assert.equal(written.text, "Hello friend.");
      assert.equal(last("media-1")?.path, "/v1/audio/transcriptions");
      const form = await formOf(last("media-1"));
      assert.equal(form.get("model"), "media-1");
      const file = form.get("file");
      assert.ok(file instanceof File);
      assert.equal(file.name, "speech.wav");
      assert.deepEqual(Buffer.from(await file.arrayBuffer()), sound);

      const subtitles = "1\n00:00:00,000 --> 00:00:01,000\nHello friend.\n";
      context.provider.script("media-1", {
        headers: { "content-type": "text/plain; charset=utf-8" },
        parts: [subtitles],
      });
      const srt = await client().audio.transcriptions.create({
        model: "media",
        file: await wav(),
        response_format: "srt",
      });
      assert.equal(srt, subtitles);

      const done = { type: "transcript.text.done", ...transcript };
      context.provider.script("media-1", stream([{ type: "transcript.text.delta", delta: "Hello" }, done, "[DONE]"]));
      const types: string[] = [];
      for await (const event of await client().audio.transcriptions.create({
        model: "media",
        file: await wav(),
        stream: true,
      })) {
        types.push(event.type);
      }
      assert.deepEqual(types, ["transcript.text.delta", "transcript.text.done"]);

      context.provider.script("media-1", json({ text: "The sun rises." }));
      const translated = await client().audio.translations.create({ model: "media", file: await wav() });
      assert.equal(translated.text, "The sun rises.");
      assert.equal(last("media-1")?.path, "/v1/audio/translations");
    });

    test("Azure has them at its deployments", async () => {
      context.provider.script("azure-drawer", json(drawn));
      const body = { model: "azure/azure-drawer", prompt: "x" };
      assert.equal((await post(target(), "/v1/images/generations", body)).status, 200);
      assert.equal(last("azure-drawer")?.path, "/openai/deployments/azure-drawer/images/generations?api-version=v1");
    });

    test("a provider without the operation is left for one that has it, or the request refused", async () => {
      context.provider.script("media-1", json(drawn));
      const other = await post(target(), "/v1/images/generations", { model: "either", prompt: "x" });
      assert.equal(other.text, JSON.stringify(drawn));
      const refused = await post(target(), "/v1/images/generations", { model: "sonnet", prompt: "x" });
      assert.equal(refused.status, 400);
      assert.match(refused.text, /cannot make images/);
      assert.equal(last("sonnet-1"), undefined);
    });

    test("what nobody can price is refused to a key with a budget, and costs others nothing", async () => {
      context.provider.script("unpriced-1", audio(sound));
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 1_000_000_000n });
      const body = { model: "free", input: "Hello", voice: "alloy" };
      const refused = await post(target(secret), "/v1/audio/speech", body);
      assert.equal(refused.status, 400);
      assert.match(refused.text, /model_not_priced/);
      const allowed = await send("/v1/audio/speech", JSON.stringify(body), "application/json");
      await allowed.arrayBuffer();
      const [row] = await context.gateway.waitForRequest(allowed.headers.get("x-request-id") ?? "");
      assert.equal(row?.costNanosUsd, 0n);
      assert.equal(row.priceSource, "");
    });

    test("a budget that does not cover the largest images is not overdrawn", async () => {
      const { secret } = await context.gateway.createKey({ budgetNanosUsd: 300_000_000n });
      const body = { model: "media", prompt: "x", n: 2 };
      assert.equal((await post(target(secret), "/v1/images/generations", body)).status, 429);
    });

    test("bodies that are no form, or lack what has to be there, are refused in words that help", async () => {
      const form = (...parts: readonly string[]): string =>
        `${parts.map((part) => `--b\r\nContent-Disposition: form-data; ${part}\r\n`).join("")}--b--\r\n`;
      const type = "multipart/form-data; boundary=b";
      const path = "/v1/audio/transcriptions";
      const cases: readonly (readonly [string, string, string, number, RegExp])[] = [
        [path, "{}", "application/json", 415, /Send multipart\/form-data\./],
        ["/v1/audio/speech", form(), type, 415, /Send application\/json in UTF-8\./],
        ["/v1/images/edits", "x", "text/plain", 415, /multipart\/form-data or application\/json/],
        [path, form('name="file"; filename="a"\r\n\r\nx'), type, 400, /"param":"model"/],
        [path, form('name="model"\r\n\r\nmedia', 'name="model"\r\n\r\nother'), type, 400, /"duplicate_parameter"/],
        [path, form('name="model"; filename="m"\r\n\r\nmedia'), type, 400, /"invalid_type"/],
        [path, form('name="model"\r\n\r\nmedia').slice(0, -8), type, 400, /invalid_multipart/],
        [path, "nothing", type, 400, /invalid_multipart/],
        [path, form('name="model"\r\n\r\nmedia'), "multipart/form-data", 415, /multipart/],
        [path, form('name="model"\r\n\r\nmedia'), "multipart/form-data; charset=x", 400, /boundary/],
        ["/v1/images/generations", '{"prompt":"x"}', "application/json", 400, /"param":"model"/],
        ["/v1/images/generations", '{"model":"media","n":1e9}', "application/json", 400, /"param":"n"/],
      ];
      for (const [at, body, contentType, status, message] of cases) {
        const refused = await send(at, body, contentType);
        const text = await refused.text();
        assert.equal(refused.status, status, `${at} ${text}`);
        assert.match(text, message);
      }
      const method = await fetch(`${context.gateway.url}/v1/images/edits`, {
        headers: { authorization: `Bearer ${context.gateway.virtualKey}` },
      });
      assert.equal(method.status, 405);
      assert.equal(method.headers.get("allow"), "POST");
    });

    test("a caller that leaves closes the provider's socket, while it speaks and while it listens", async () => {
      const { promise: never } = Promise.withResolvers<void>();
      context.provider.script("media-1", { ...audio(sound), ending: "stall" }, { parts: [never] });
      const speech = await send("/v1/audio/speech", JSON.stringify({ model: "media", input: "a" }), "application/json");
      const reader = speech.body?.getReader();
      await reader?.read();
      const speaking = last("media-1");
      await reader?.cancel();
      assert.ok(speaking);
      assert.equal((await context.provider.waitForClose(speaking)).closedBy, "peer");
      const leaving = new AbortController();
      const asked = context.provider.requestsOf("media-1").length;
      const form = new FormData();
      form.append("file", await wav());
      form.append("model", "media");
      const pending = fetch(`${context.gateway.url}/v1/audio/transcriptions`, {
        method: "POST",
        headers: { authorization: `Bearer ${context.gateway.virtualKey}` },
        body: form,
        signal: leaving.signal,
      });
      const listening = await context.provider.waitForRequestOf("media-1", asked + 1);
      leaving.abort();
      await assert.rejects(pending);
      assert.equal((await context.provider.waitForClose(listening)).closedBy, "peer");
      const rows = await context.gateway.waitForLedger(
        (all) => all.filter((row) => row.outcome === Outcome.CLIENT_CLOSED).length === 2,
      );
      // The recording's bytes are no text: 70,000 of them are not 17,500 tokens.
      const [row] = rows.filter((each) => each.operation === Operation.TRANSCRIBE).slice(-1);
      assert.ok((row?.usage?.uncachedInputTokens ?? 9_999n) < 1_000n);
    });

    test("pictures are made anew each time, and classifications remembered", async () => {
      context.provider.script("media-1", json(drawn));
      const body = { model: "media", prompt: "the same" };
      const caches = async (path: string, asked: object) =>
        (await post(target(), path, asked)).headers.get("x-penstock-cache");
      assert.equal(await caches("/v1/images/generations", body), "bypass");
      assert.equal(await caches("/v1/images/generations", body), "bypass");
      context.provider.script("moderation-1", json({ id: "modr-1", results: [] }));
      assert.equal(await caches("/v1/moderations", { input: "the same" }), "miss");
      assert.equal(await caches("/v1/moderations", { input: "the same" }), "hit");
    });

    test("a provider's refusal is told as it is", async () => {
      const error = {
        message: "Unknown parameter: 'quality'.",
        type: "invalid_request_error",
        param: "quality",
        code: "x",
      };
      context.provider.script("media-1", json({ error }, 400));
      const refused = await post(target(), "/v1/images/generations", { model: "media", prompt: "x", quality: "y" });
      assert.equal(refused.status, 400);
      assert.equal(refused.json?.error?.message, error.message);
    });
  },
);
