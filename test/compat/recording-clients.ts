import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI, type Part } from "@google/genai";
import { AIMessageChunk } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, type LanguageModel, streamText } from "ai";
import OpenAI from "openai";
import type { CallTarget } from "../harness/call-gateway.ts";

/** A call of a tool as a client tells it. */
export interface ClientCall {
  readonly name: string;
  readonly arguments: unknown;
}

/** What a client makes of an answer. */
export interface ClientAnswer {
  readonly text: string;
  readonly calls: readonly ClientCall[];
}

/** Asks a model by a client, whole or streamed. Rejects when the client cannot read the answer. */
type ClientRead = (target: CallTarget, model: string, stream: boolean) => Promise<ClientAnswer>;

// The SDK says of every model that it does not know it.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

/** Real clients, each by its own way to read an answer and a stream. OpenAI's chat is read elsewhere. */
export const recordingClients: readonly (readonly [name: string, read: ClientRead])[] = [
  ["openai (responses)", readResponses],
  ["@anthropic-ai/sdk", readAnthropic],
  ["@google/genai", readGoogle],
  ["@ai-sdk/openai", aiSdk(({ url, key }, model) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key })(model))],
  [
    "@ai-sdk/openai (chat)",
    aiSdk(({ url, key }, model) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(model)),
  ],
  ["@ai-sdk/anthropic", aiSdk(({ url, key }, model) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model))],
  // It takes a name with a slash for the whole path.
  [
    "@ai-sdk/google",
    aiSdk(({ url, key }, model) => createGoogle({ baseURL: `${url}/v1beta`, apiKey: key })(`models/${model}`)),
  ],
  ["@langchain/openai", readLangChain],
];

async function readResponses({ url, key }: CallTarget, model: string, stream: boolean): Promise<ClientAnswer> {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  const body = { model, input: "x" };
  const { output } = stream ? await client.responses.stream(body).finalResponse() : await client.responses.create(body);
  const contents = output.flatMap((item) => (item.type === "message" ? item.content : []));
  return {
    text: contents.map((part) => (part.type === "refusal" ? part.refusal : part.text)).join(""),
    calls: output.flatMap((item) =>
      item.type === "function_call" ? [{ name: item.name, arguments: JSON.parse(item.arguments) }] : [],
    ),
  };
}

async function readAnthropic({ url, key }: CallTarget, model: string, stream: boolean): Promise<ClientAnswer> {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  const body = { model, max_tokens: 1_000, messages: [{ role: "user" as const, content: "x" }] };
  const { content } = stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
  return {
    text: content.map((block) => (block.type === "text" ? block.text : "")).join(""),
    calls: content.flatMap((block) =>
      block.type === "tool_use" ? [{ name: block.name, arguments: block.input }] : [],
    ),
  };
}

async function readGoogle({ url, key }: CallTarget, model: string, stream: boolean): Promise<ClientAnswer> {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
  const body = { model, contents: "x" };
  const parts: Part[] = [];
  if (stream) {
    for await (const chunk of await client.models.generateContentStream(body)) {
      parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    }
  } else {
    parts.push(...((await client.models.generateContent(body)).candidates?.[0]?.content?.parts ?? []));
  }
  return {
    text: parts.map((part) => (part.thought === true ? "" : (part.text ?? ""))).join(""),
    calls: parts.flatMap(({ functionCall }) =>
      functionCall === undefined ? [] : [{ name: functionCall.name ?? "", arguments: functionCall.args ?? {} }],
    ),
  };
}

function aiSdk(open: (target: CallTarget, model: string) => LanguageModel): ClientRead {
  return async (target, name, stream) => {
    const common = { model: open(target, name), prompt: "x", maxRetries: 0 };
    const rethrow = ({ error }: { readonly error: unknown }): never => {
      throw error;
    };
    const answer = stream ? streamText({ ...common, onError: rethrow }) : await generateText(common);
    const [text, toolCalls] = [await answer.text, await answer.toolCalls];
    return { text, calls: toolCalls.map(({ toolName, input }) => ({ name: toolName, arguments: input })) };
  };
}

async function readLangChain({ url, key }: CallTarget, model: string, stream: boolean): Promise<ClientAnswer> {
  const chat = new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: `${url}/v1` }, maxRetries: 0 });
  let answer = new AIMessageChunk("");
  if (stream) {
    for await (const chunk of await chat.stream("x")) {
      answer = answer.concat(chunk);
    }
  }
  const { text, tool_calls: calls } = stream ? answer : await chat.invoke("x");
  return {
    text,
    calls: (calls ?? []).map(({ name, args }) => ({ name, arguments: args })),
  };
}
