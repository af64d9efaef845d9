import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ChatRequestSchema, Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { GatewayService } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { type ErrorDetail, ErrorDetailSchema, ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { FinishReason } from "#gen/penstock/type/v1/usage_pb.ts";
import { Outcome } from "#gen/penstock/usage/v1/usage_event_pb.ts";
import { inBothModes } from "../harness/both-modes.ts";
import { errorAnswer, goodAnswer, openAiStream, silent } from "../harness/provider-answers.ts";
import { withKey } from "../harness/start-gateway.ts";

const transports: Readonly<Record<string, (baseUrl: string, key: string) => Transport>> = {
  "Connect over HTTP/1.1": (baseUrl, key) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors: [withKey(key)] }),
  "Connect over HTTP/2": (baseUrl, key) =>
    createConnectTransport({ baseUrl, httpVersion: "2", interceptors: [withKey(key)] }),
  "gRPC over HTTP/2": (baseUrl, key) => createGrpcTransport({ baseUrl, interceptors: [withKey(key)] }),
  "gRPC-web over HTTP/1.1": (baseUrl, key) =>
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors: [withKey(key)] }),
};

inBothModes(
  "typed API",
  ({ url }) => `
providers:
  fake: { kind: openai-compatible, base_url: "${url}/v1", api_key: none }
  claude: { kind: anthropic, base_url: "${url}", api_key: none }
  gemini: { kind: gemini, base_url: "${url}/v1beta", api_key: none }
models:
  fast: { route: [{ target: fake/fast }], retry: { attempts: 1 } }
  sonnet: { route: [{ target: claude/sonnet }] }
  flash: { route: [{ target: gemini/flash }] }
  vectors: { route: [{ target: fake/vectors }] }
prices: { overrides: { fake/fast: { input: $1/M, output: $1/M } } }
`,
  (context) => {
    for (const [name, open] of Object.entries(transports)) {
      const client = (key = context.gateway.virtualKey): Client<typeof GatewayService> =>
        createClient(GatewayService, open(context.gateway.url, key));

      for (const model of ["fast", "sonnet", "flash"]) {
        test(`${name}: ${model} answers in one piece and as a stream`, async () => {
          context.provider.script("fast", (request) => goodAnswer(request));
          let requestId = "";
          const { chat } = await client().generateChat(
            { chat: hello(model) },
            { onHeader: (headers) => void (requestId = headers.get("x-request-id") ?? "") },
          );
          const [candidate] = chat?.candidates ?? [];
          assert.equal(textOf(candidate?.message?.parts), "Hello!");
          assert.equal(candidate?.finishReason, FinishReason.STOP);
          assert.equal(chat?.usage?.uncachedInputTokens, 10n);
          assert.equal(chat?.usage?.outputTokens, 5n);
          assert.equal((await context.gateway.waitForRequest(requestId))[0]?.usage?.outputTokens, 5n);
          const streamed = await collect(client(), model);
          assert.equal(streamed.text, "Hello!");
          assert.deepEqual(streamed.cases.at(-1), "end");
          assert.equal(streamed.outputTokens, 5n);
        });
      }

      test(`${name}: texts become vectors, models are listed page by page`, async () => {
        const { embed } = await client().embed({ embed: { model: "vectors", inputs: ["a", "b"] } });
        assert.deepEqual(
          embed?.embeddings.map((embedding) => embedding.values),
          [
            [0.25, -0.5, 0.125],
            [0.25, -0.5, 0.125],
          ],
        );
        const names: string[] = [];
        for (let pageToken = ""; ; ) {
          const page = await client().listModels({ pageSize: 3, pageToken });
          names.push(...page.models.map((model) => model.name));
          pageToken = page.nextPageToken;
          if (pageToken === "") {
            break;
          }
        }
        assert.deepEqual(names, ["fast", "flash", "sonnet", "vectors"]);
      });

      test(`${name}: errors carry their reason once`, async () => {
        const { gateway, provider } = context;
        const fails = (key: string | undefined, chat: MessageInitShape<typeof ChatRequestSchema>) =>
          failureOf(client(key).generateChat({ chat }));
        assert.deepEqual(await fails("sk-pen-nobody-nothing", hello("fast")), [
          Code.Unauthenticated,
          ErrorReason.INVALID_API_KEY,
        ]);
        assert.deepEqual(await fails(undefined, hello("nothing")), [Code.NotFound, ErrorReason.MODEL_NOT_FOUND]);
        assert.deepEqual(await fails(undefined, {}), [Code.InvalidArgument, ErrorReason.INVALID_REQUEST]);
        const { secret: limited } = await gateway.createKey({ allowedModels: ["sonnet"] });
        assert.deepEqual(await fails(limited, hello("fast")), [Code.PermissionDenied, ErrorReason.MODEL_NOT_ALLOWED]);
        const { secret: poor } = await gateway.createKey({ budgetNanosUsd: 0n });
        assert.deepEqual(await fails(poor, hello("fast")), [Code.ResourceExhausted, ErrorReason.BUDGET_EXHAUSTED]);
        assert.deepEqual(await fails(poor, hello("sonnet")), [Code.FailedPrecondition, ErrorReason.MODEL_NOT_PRICED]);
        provider.script("fast", errorAnswer(500));
        assert.deepEqual(await fails(undefined, hello("fast")), [Code.Unavailable, ErrorReason.UPSTREAM_FAILED]);
        assert.deepEqual(await failureOf(collect(client(), "fast")), [Code.Unavailable, ErrorReason.UPSTREAM_FAILED]);
      });

      test(`${name}: a stream that is cut ends with an error and without an end event`, async () => {
        const whole = openAiStream({ pieces: ["One ", "two."] });
        context.provider.script("fast", { ...whole, parts: whole.parts?.slice(0, 2) ?? [], ending: "cut" });
        const cases: string[] = [];
        const failure = await failureOf(collect(client(), "fast", cases));
        assert.deepEqual(failure, [Code.Unavailable, ErrorReason.UPSTREAM_TRUNCATED]);
        assert.ok(cases.includes("textDelta") && !cases.includes("end"), cases.join());
      });

      test(`${name}: the caller's deadline ends the request`, async () => {
        context.provider.script("fast", silent);
        const number = context.provider.requestsOf("fast").length + 1;
        const [code] = await failureOf(client().generateChat({ chat: hello("fast") }, { timeoutMs: 300 }));
        assert.equal(code, Code.DeadlineExceeded);
        const request = await context.provider.waitForRequestOf("fast", number);
        assert.equal((await context.provider.waitForClose(request)).closedBy, "peer");
      });

      test(`${name}: a stream that the caller leaves is not paid for any longer`, async () => {
        const { gateway, provider } = context;
        const whole = openAiStream({ pieces: ["One ", "two."] });
        provider.script("fast", { ...whole, parts: whole.parts?.slice(0, 2) ?? [], ending: "stall" });
        const { secret, key } = await gateway.createKey();
        const number = provider.requestsOf("fast").length + 1;
        const controller = new AbortController();
        for await (const response of client(secret).streamChat(
          { chat: hello("fast") },
          { signal: controller.signal },
        )) {
          if (response.events.some(({ event }) => event.case === "textDelta")) {
            break;
          }
        }
        // Connect's own client goes on with a stream that its reader left, until the signal says otherwise.
        controller.abort();
        const request = await provider.waitForRequestOf("fast", number);
        assert.equal((await provider.waitForClose(request)).closedBy, "peer");
        const rows = await gateway.waitForLedger((all) => all.some((row) => row.keyId === key.id));
        assert.equal(rows.find((row) => row.keyId === key.id)?.outcome, Outcome.CLIENT_CLOSED);
      });
    }

    test("admin calls take an admin key, and JSON over plain HTTP", async () => {
      const { url, adminKey, virtualKey } = context.gateway;
      const createKey = (key: string) =>
        fetch(`${url}/penstock.admin.v1.KeyService/CreateKey`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
          body: JSON.stringify({ key: { displayName: "from curl" } }),
        });
      const made = await createKey(adminKey);
      assert.equal(made.status, 200);
      assert.match(await made.text(), /"secret":"sk-pen-/);
      assert.equal((await createKey(virtualKey)).status, 403);
      assert.equal((await createKey("wrong-key-0123456789")).status, 401);
    });

    test("services of the mesh are not reachable from outside", async () => {
      const { url, adminKey } = context.gateway;
      for (const path of [
        "penstock.quota.v1.QuotaService/WatchKeys",
        "penstock.quota.v1.QuotaService/Reserve",
        "penstock.connector.v1.ConnectorService/Execute",
        "penstock.accounting.v1.AccountingService/Ingest",
        "penstock.cache.v1.CacheService/Lookup",
      ]) {
        const response = await fetch(`${url}/${path}`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${adminKey}` },
          body: "{}",
        });
        assert.equal(response.status, 404, path);
      }
    });
  },
);

function hello(model: string): MessageInitShape<typeof ChatRequestSchema> {
  return {
    model,
    maxOutputTokens: 100n,
    messages: [{ role: Role.USER, parts: [{ content: { case: "text", value: { text: "Hi" } } }] }],
  };
}

function textOf(
  parts: readonly { readonly content: { readonly case: string | undefined; readonly value?: unknown } }[] = [],
) {
  return parts
    .map(({ content }) => (content.case === "text" && isText(content.value) ? content.value.text : ""))
    .join("");
}

function isText(value: unknown): value is { readonly text: string } {
  return typeof value === "object" && value !== null && "text" in value && typeof value.text === "string";
}

/** Reads a stream to its end; `cases` gets the events as they come, also when it fails. */
async function collect(client: Client<typeof GatewayService>, model: string, cases: string[] = []) {
  let text = "";
  let outputTokens = 0n;
  for await (const response of client.streamChat({ chat: create(ChatRequestSchema, hello(model)) })) {
    for (const { event } of response.events) {
      cases.push(event.case ?? "");
      text += event.case === "textDelta" ? event.value.text : "";
      outputTokens = event.case === "end" ? (event.value.usage?.outputTokens ?? 0n) : outputTokens;
    }
  }
  return { text, outputTokens, cases };
}

async function failureOf(work: Promise<unknown>): Promise<readonly [Code, ErrorReason | undefined]> {
  try {
    await work;
  } catch (error) {
    const failure = ConnectError.from(error);
    const details: readonly ErrorDetail[] = failure.findDetails(ErrorDetailSchema);
    assert.ok(details.length <= 1);
    return [failure.code, details[0]?.reason];
  }
  return assert.fail("the call succeeded");
}
