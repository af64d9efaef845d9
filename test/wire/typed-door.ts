import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { ChatEvent, ChatResponse } from "#gen/penstock/chat/v1/chat_pb.ts";
import { Role } from "#gen/penstock/chat/v1/chat_pb.ts";
import { GatewayService } from "#gen/penstock/gateway/v1/gateway_service_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { type ErrorReason, ErrorReasonSchema } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, retryDelayMsOf } from "#kit/errors/gateway-error.ts";
import { entryOf } from "#kit/errors/reasons.ts";
import { type Gateway, withKey } from "../harness/start-gateway.ts";
import { type AnswerFacts, type Finish, settleFinish, type TokenClasses } from "./answer-facts.ts";
import { parseArguments } from "./json.ts";
import { answerTimeoutMs, type DoorAnswer, type DoorRequest, type WireDoor } from "./wire-door.ts";

/** `GatewayService`. */
export const typedDoor: WireDoor = {
  name: "typed",
  dialect: undefined,
  express: (facts) => facts,
  async ask(gateway, request) {
    let requestId = "";
    const options = {
      timeoutMs: answerTimeoutMs,
      onHeader: (headers: Headers) => {
        requestId = headers.get("x-request-id") ?? "";
      },
    };
    const client = clientOf(gateway);
    const chat = chatOf(request);
    const events: ChatEvent[] = [];
    try {
      const facts = request.stream
        ? await readEvents(client.streamChat({ chat }, options), events)
        : readResponse((await client.generateChat({ chat }, options)).chat);
      return { ...untold, status: 200, requestId, facts, shape: request.stream ? checkOrder(events) : [] };
    } catch (error) {
      return failure(ConnectError.from(error), requestId, events.length > 0);
    }
  },
};

const untold = {
  shouldRetry: undefined,
  retryAfter: undefined,
  sent: undefined,
  raw: "",
  error: undefined,
  facts: undefined,
} as const;

function clientOf(gateway: Gateway) {
  return createClient(
    GatewayService,
    createConnectTransport({
      httpVersion: "1.1",
      baseUrl: gateway.url,
      interceptors: [withKey(gateway.virtualKey)],
    }),
  );
}

function chatOf({ model, tools }: DoorRequest) {
  return {
    model,
    messages: [{ role: Role.USER, parts: [{ content: { case: "text" as const, value: { text: "x" } } }] }],
    tools: tools.map(({ name, description, parameters }) => ({
      name,
      description,
      parametersJson: parameters === undefined ? "" : JSON.stringify(parameters),
    })),
  };
}

function failure(error: ConnectError, requestId: string, inStream: boolean): DoorAnswer {
  const detail = errorDetailOf(error);
  const retryDelayMs = retryDelayMsOf(detail.retryDelay);
  const entry = entryOf(detail);
  return {
    ...untold,
    // A stream that has begun has its status already, as at the other doors.
    status: inStream ? 200 : entry.httpStatus,
    requestId: requestId || (error.metadata.get("x-request-id") ?? ""),
    shouldRetry: String(entry.retryable),
    retryAfter: retryDelayMs === undefined ? undefined : String(Math.ceil(retryDelayMs / 1_000)),
    error: { type: nameOf(detail.reason), message: error.rawMessage, inStream },
    shape: error.code === entry.code ? [] : [`the code is ${Code[error.code]}`],
  };
}

function nameOf(reason: ErrorReason): string {
  return ErrorReasonSchema.values.find((value) => value.number === reason)?.localName ?? String(reason);
}

function readResponse(response: ChatResponse | undefined): AnswerFacts {
  const candidate = response?.candidates[0];
  const parts = (candidate?.message?.parts ?? []).map((part) => part.content);
  const toolCalls = parts.flatMap((part) =>
    part.case === "toolCall" ? [{ name: part.value.name, arguments: parseArguments(part.value.argumentsJson) }] : [],
  );
  return {
    text: parts.map((part) => (part.case === "text" ? part.value.text : "")).join(""),
    reasoning: parts.map((part) => (part.case === "reasoning" ? part.value.text : "")).join(""),
    refusal: parts.map((part) => (part.case === "refusal" ? part.value.text : "")).join(""),
    toolCalls,
    finish: settleFinish(finishOf(candidate?.finishReason), toolCalls.length > 0),
    usage: classesOf(response?.usage),
  };
}

async function readEvents(
  stream: AsyncIterable<{ readonly events: readonly ChatEvent[] }>,
  seen: ChatEvent[],
): Promise<AnswerFacts> {
  let text = "";
  let reasoning = "";
  let refusal = "";
  let finish: FinishReason | undefined;
  let usage: Usage | undefined;
  const calls: { name: string; json: string }[] = [];
  for await (const { events } of stream) {
    seen.push(...events);
    for (const { event } of events) {
      if (event.value !== undefined && "candidateIndex" in event.value && event.value.candidateIndex !== 0) {
        continue;
      }
      switch (event.case) {
        case "textDelta":
          text += event.value.text;
          break;
        case "reasoningDelta":
          reasoning += event.value.text;
          break;
        case "refusalDelta":
          refusal += event.value.text;
          break;
        case "toolCallStart":
          calls[event.value.callIndex] = { name: event.value.name, json: "" };
          break;
        case "toolCallDelta": {
          const call = calls[event.value.callIndex];
          if (call !== undefined) {
            call.json += event.value.argumentsJson;
          }
          break;
        }
        case "finish":
          finish = event.value.finishReason;
          break;
        case "end":
          usage = event.value.usage;
          break;
        default:
          break;
      }
    }
  }
  return {
    text,
    reasoning,
    refusal,
    toolCalls: calls.map((call) => ({ name: call.name, arguments: parseArguments(call.json) })),
    finish: settleFinish(finishOf(finish), calls.length > 0),
    usage: classesOf(usage),
  };
}

function checkOrder(events: readonly ChatEvent[]): readonly string[] {
  const cases = events.map(({ event }) => event.case);
  return [
    ...(cases[0] === "start" ? [] : ["the first event is not start"]),
    ...(cases.at(-1) === "end" ? [] : ["the last event is not end"]),
    ...(cases.filter((name) => name === "end" || name === "start").length === 2 ? [] : ["start or end come twice"]),
    ...(cases.includes("finish") ? [] : ["no candidate has a finish"]),
  ];
}

/** The gateway's own word for the end. */
export function finishOf(reason: FinishReason | undefined): Finish {
  switch (reason) {
    case FinishReason.STOP:
      return "stop";
    case FinishReason.LENGTH:
      return "length";
    case FinishReason.TOOL_CALLS:
      return "tool_calls";
    case FinishReason.CONTENT_FILTER:
      return "content_filter";
    case FinishReason.ERROR:
      return "error";
    default:
      return "none";
  }
}

/** The gateway's own count of tokens. */
export function classesOf(usage: Usage | undefined): TokenClasses | undefined {
  return (
    usage && {
      uncached: Number(usage.uncachedInputTokens),
      cacheRead: Number(usage.cacheReadTokens),
      cacheWrite: Number(usage.cacheWriteTokens),
      output: Number(usage.outputTokens),
      reasoning: Number(usage.reasoningTokens),
    }
  );
}
