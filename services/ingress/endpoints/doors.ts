import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { inspectAnthropicCount, inspectAnthropicMessages } from "../pipeline/inspect-anthropic.ts";
import {
  inspectGeminiCount,
  inspectGeminiEmbed,
  inspectGeminiEmbedOne,
  inspectGeminiGenerate,
} from "../pipeline/inspect-gemini.ts";
import { inspectOperation } from "../pipeline/inspect-operation.ts";
import { inspectRerank } from "../pipeline/inspect-rerank.ts";
import { inspectOpenAiChat, inspectOpenAiEmbeddings } from "../pipeline/inspect-openai.ts";
import { inspectOpenAiCompletions } from "../pipeline/inspect-openai-completions.ts";
import { inspectOpenAiResponses } from "../pipeline/inspect-openai-responses.ts";
import type { BodyType } from "./read-content-type.ts";
import type { DoorCall, DoorRequest, GenerationDoor } from "./generation.ts";

/** All ways in at which a model is asked for something: OpenAI's, Anthropic's, Google's and Cohere's. */
export const doors: readonly GenerationDoor[] = [
  {
    path: "/chat/completions",
    dialect: Dialect.OPENAI_CHAT,
    inspect: ({ body }) => ({ operation: Operation.CHAT, inspection: inspectOpenAiChat(body) }),
  },
  {
    path: "/completions",
    dialect: Dialect.OPENAI_COMPLETIONS,
    inspect: ({ body }) => ({ operation: Operation.CHAT, inspection: inspectOpenAiCompletions(body) }),
  },
  {
    path: "/responses",
    dialect: Dialect.OPENAI_RESPONSES,
    inspect: ({ body }) => ({ operation: Operation.CHAT, inspection: inspectOpenAiResponses(body) }),
  },
  {
    path: "/embeddings",
    dialect: Dialect.OPENAI_CHAT,
    inspect: ({ body }) => ({ operation: Operation.EMBED, inspection: inspectOpenAiEmbeddings(body) }),
  },
  {
    path: "/messages",
    dialect: Dialect.ANTHROPIC_MESSAGES,
    inspect: ({ body }) => ({ operation: Operation.CHAT, inspection: inspectAnthropicMessages(body) }),
  },
  {
    path: "/messages/count_tokens",
    dialect: Dialect.ANTHROPIC_MESSAGES,
    inspect: ({ body }) => ({ operation: Operation.COUNT_TOKENS, inspection: inspectAnthropicCount(body) }),
  },
  ...["/rerank", "/v2/rerank"].map((path) => ({
    path,
    dialect: Dialect.COHERE,
    inspect: ({ body }: DoorRequest) => ({ operation: Operation.RERANK, inspection: inspectRerank(body) }),
  })),
  forwarded("/moderations", Operation.MODERATE),
  forwarded("/images/generations", Operation.GENERATE_IMAGE),
  forwarded("/images/edits", Operation.EDIT_IMAGE, ["multipart/form-data", "application/json"]),
  forwarded("/audio/speech", Operation.SPEAK),
  forwarded("/audio/transcriptions", Operation.TRANSCRIBE, ["multipart/form-data"]),
  forwarded("/audio/translations", Operation.TRANSLATE, ["multipart/form-data"]),
  {
    path: "/v1beta/models/",
    dialect: Dialect.GEMINI,
    inspect: inspectGemini,
  },
  {
    // What Google's clients of 2026 call: `/v1/models/`.
    path: "/models/",
    dialect: Dialect.GEMINI,
    inspect: inspectGemini,
  },
];

/** The door of an operation that goes to providers of OpenAI's dialect as it came. */
function forwarded(
  path: string,
  operation: Operation,
  takes: readonly BodyType[] = ["application/json"],
): GenerationDoor {
  return {
    path,
    dialect: Dialect.OPENAI_CHAT,
    takes,
    inspect: ({ body, contentType }) => ({ operation, inspection: inspectOperation(body, contentType, operation) }),
  };
}

/** Google's paths name the model and what is asked of it: `gemini-2.5-pro:streamGenerateContent`. */
function inspectGemini({ body, rest, query }: DoorRequest): DoorCall {
  const colon = rest.lastIndexOf(":");
  const method = rest.slice(colon + 1);
  const model = decodeModel(rest.slice(0, Math.max(colon, 0)));
  switch (method) {
    case "generateContent":
    case "streamGenerateContent":
      return {
        operation: Operation.CHAT,
        inspection: inspectGeminiGenerate(body, { model, stream: method === "streamGenerateContent" }),
        asArray: method === "streamGenerateContent" && new URLSearchParams(query).get("alt") !== "sse",
      };
    case "batchEmbedContents":
      return { operation: Operation.EMBED, inspection: inspectGeminiEmbed(body, { model, stream: false }) };
    case "embedContent":
      return { operation: Operation.EMBED, inspection: inspectGeminiEmbedOne(body, { model, stream: false }) };
    case "countTokens":
      return { operation: Operation.COUNT_TOKENS, inspection: inspectGeminiCount(body, { model, stream: false }) };
    default:
      throw gatewayError(
        ErrorReason.UNKNOWN_URL,
        `Unknown method ${JSON.stringify(method.slice(0, 100))}: use generateContent, streamGenerateContent, embedContent, batchEmbedContents or countTokens.`,
      );
  }
}

/** A model's name may have a slash, which clients send as it is or percent-encoded. */
function decodeModel(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch (error) {
    throw gatewayError(ErrorReason.UNKNOWN_URL, "The path is not valid percent-encoding.", { cause: error });
  }
}
