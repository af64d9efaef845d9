import { randomUUID } from "node:crypto";
import { ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  decodePenstockChatResponse,
  decodePenstockEmbedResponse,
  encodePenstockChatRequest,
  encodePenstockEmbedRequest,
} from "#codec/penstock/penstock-messages.ts";
import { createPenstockStreamDecoder } from "#codec/penstock/penstock-stream.ts";
import type { ChatRequest } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { GatewayService, StreamChatResponse } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { readCredential } from "../http/read-credential.ts";
import { readCachePolicy, readTags, readTimeoutMs } from "../http/read-request-headers.ts";
import { mayUseModel } from "../pipeline/authorize-model.ts";
import type { GatewayCall, Inspection } from "../pipeline/gateway-call.ts";
import { RequestRun, type RequestRunDeps } from "../pipeline/request-run.ts";
import type { KeyDirectory } from "../snapshots/key-directory.ts";
import { boundTypedChat } from "./bound-typed-chat.ts";
import { TypedReply } from "./typed-reply.ts";

/** What the typed API needs. */
export interface GatewayServiceDeps extends RequestRunDeps {
  readonly keys: KeyDirectory;
}

const maxPageSize = 1_000;

/** The typed public API: the same pipeline as the HTTP dialects, in the dialect of protobuf. */
export function createGatewayService(deps: GatewayServiceDeps): ServiceImpl<typeof GatewayService> {
  async function authenticate(context: HandlerContext): Promise<KeyRecord> {
    const key = await deps.keys.find(readCredential((name) => context.requestHeader.get(name) ?? undefined));
    if (key.admin) {
      throw gatewayError(ErrorReason.PERMISSION_DENIED, "An admin key cannot call models; make a virtual key with it.");
    }
    return key;
  }

  async function start(
    context: HandlerContext,
    operation: Operation,
    body: Uint8Array,
    inspection: Inspection,
  ): Promise<TypedReply> {
    const arrivedAt = deps.monotonicNow();
    const key = await authenticate(context);
    const header = (name: string): string | undefined => context.requestHeader.get(name) ?? undefined;
    const requestId = `req_${randomUUID().replaceAll("-", "")}`;
    const deadlineMs = context.timeoutMs();
    const call: Omit<GatewayCall, "traceparent"> = {
      requestId,
      key,
      operation,
      dialect: Dialect.PENSTOCK,
      body,
      contentType: "",
      inspection,
      tags: readTags(header, key.tags),
      dialectHeaders: {},
      cachePolicy: readCachePolicy(header),
      timeoutMs: deadlineMs === undefined ? readTimeoutMs(header) : Math.max(1, deadlineMs),
      arrivedAt,
    };
    if (context.signal.aborted) {
      throw gatewayError(ErrorReason.CLIENT_CLOSED, "The caller left.");
    }
    const reply = new TypedReply(context.responseHeader, requestId);
    deps.tracer
      .run(`${operation === Operation.CHAT ? "chat" : "embeddings"} ${inspection.model}`, header, (traceparent) => {
        const run = new RequestRun({ ...call, traceparent }, reply, deps);
        const onAbort = (): void => {
          reply.leave();
          run.cancel();
        };
        context.signal.addEventListener("abort", onAbort, { once: true });
        return run.run();
      })
      .catch((error: unknown) => reply.fail(ConnectError.from(error)));
    return reply;
  }

  async function readAll(reply: TypedReply): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for (let chunk = await reply.read(); chunk !== undefined; chunk = await reply.read()) {
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  return {
    async generateChat(request, context) {
      const chat = required(request.chat, "chat");
      const body = encodePenstockChatRequest(chat);
      const reply = await start(context, Operation.CHAT, body, inspectChat(chat, body, false));
      return { chat: decodePenstockChatResponse(await readAll(reply)) };
    },
    async *streamChat(request, context): AsyncGenerator<StreamChatResponse> {
      const chat = required(request.chat, "chat");
      const body = encodePenstockChatRequest(chat);
      const reply = await start(context, Operation.CHAT, body, inspectChat(chat, body, true));
      const decoder = createPenstockStreamDecoder();
      for (let chunk = await reply.read(); chunk !== undefined; chunk = await reply.read()) {
        const events = decoder.push(chunk);
        if (events.length > 0) {
          yield { $typeName: "penstock.gateway.v1.StreamChatResponse", events };
        }
      }
    },
    async embed(request, context) {
      const embed = required(request.embed, "embed");
      if (embed.model === "" || embed.inputs.length === 0) {
        throw missing(embed.model === "" ? "embed.model" : "embed.inputs");
      }
      const body = encodePenstockEmbedRequest(embed);
      const reply = await start(context, Operation.EMBED, body, {
        model: embed.model,
        stream: false,
        inputTokenBound: BigInt(body.length),
        outputTokenLimit: 0n,
        candidates: 1n,
      });
      return { embed: decodePenstockEmbedResponse(await readAll(reply)) };
    },
    async listModels(request, context) {
      const key = await authenticate(context);
      const allowed = deps.models
        .list()
        .filter((model) => mayUseModel(key, model.name) && model.name > request.pageToken);
      const pageSize = Math.min(request.pageSize > 0 ? request.pageSize : maxPageSize, maxPageSize);
      const page = allowed.slice(0, pageSize);
      return {
        models: page.map((model) => ({
          name: model.name,
          providers: model.providers,
          ...(model.createTime === undefined ? {} : { createTime: model.createTime }),
        })),
        nextPageToken: page.length < allowed.length ? (page.at(-1)?.name ?? "") : "",
      };
    },
  };
}

function inspectChat(chat: ChatRequest, body: Uint8Array, stream: boolean): Inspection {
  if (chat.model === "") {
    throw missing("chat.model");
  }
  if (chat.messages.length === 0) {
    throw missing("chat.messages");
  }
  return boundTypedChat(chat, body.length, stream);
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) {
    throw missing(name);
  }
  return value;
}

function missing(name: string): ConnectError {
  return gatewayError(ErrorReason.INVALID_REQUEST, `Missing required parameter: '${name}'.`, {
    metadata: { param: name, code: "missing_required_parameter" },
  });
}
