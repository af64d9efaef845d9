import { CodecError, type JsonObject } from "#codec/codec.ts";
import type { ExecuteRequest } from "#gen/penstock/connector/v1/connector_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { FinishReason, type Usage } from "#gen/penstock/type/v1/usage_pb.ts";
import { estimateUsage } from "#kit/pricing/estimate-usage.ts";
import { KeptBytes, KeptStream } from "../answer/kept-answers.ts";
import { WholeAnswer } from "../answer/whole-answer.ts";
import type { Provider, ProviderKind } from "../providers/provider.ts";
import type { PreparedAttempt } from "./prepared-attempt.ts";
import { isJson } from "./upstream-request.ts";

/** How an operation on what a provider keeps is asked for, below the path that the kind has for it. */
interface KeptForm {
  readonly method: "GET" | "POST" | "DELETE";
  /** What stands behind the thing's id in the path. */
  readonly suffix: string;
}

const forms: Readonly<Partial<Record<Operation, KeptForm>>> = {
  [Operation.CREATE_FILE]: { method: "POST", suffix: "" },
  [Operation.GET_FILE]: { method: "GET", suffix: "" },
  [Operation.GET_FILE_CONTENT]: { method: "GET", suffix: "/content" },
  [Operation.DELETE_FILE]: { method: "DELETE", suffix: "" },
  [Operation.CREATE_BATCH]: { method: "POST", suffix: "" },
  [Operation.GET_BATCH]: { method: "GET", suffix: "" },
  [Operation.CANCEL_BATCH]: { method: "POST", suffix: "/cancel" },
  [Operation.GET_RESPONSE]: { method: "GET", suffix: "" },
  [Operation.DELETE_RESPONSE]: { method: "DELETE", suffix: "" },
  [Operation.CANCEL_RESPONSE]: { method: "POST", suffix: "/cancel" },
  [Operation.LIST_RESPONSE_INPUT]: { method: "GET", suffix: "/input_items" },
};

/** Asking for what is kept uses nothing; what making it used is recorded elsewhere. */
export const nothingUsed: Usage = { ...estimateUsage(0, 0), estimated: false };

/**
 * Prepares an operation on a file, a batch or a stored response. Bodies go as they came. Throws CodecError
 * (`unsupported_feature`) where the provider does not have it.
 */
export function prepareKept(request: ExecuteRequest, provider: Provider): PreparedAttempt {
  const { kind } = provider;
  const { operation } = request;
  const path = kind.operations?.[operation];
  const form = forms[operation];
  if (path === undefined || form === undefined || kind.chat.dialect !== request.dialect) {
    const what = request.dialect === Dialect.OPENAI_RESPONSES ? "responses" : "files and batches";
    throw new CodecError(`this provider does not keep ${what}`, { code: "unsupported_feature" });
  }
  const { id = "", query = "" } = request.keptObject ?? {};
  return {
    kind,
    request: {
      method: form.method,
      path: `${provider.basePath}${path}${id === "" ? "" : `/${encodeURIComponent(id)}`}${form.suffix}${query === "" ? "" : `?${query}`}`,
      headers: [
        ...(request.body.length === 0 ? [] : ["content-type", request.contentType || "application/json"]),
        "accept",
        acceptOf(request),
        "accept-encoding",
        "identity",
        "user-agent",
        "penstock",
        ...kind.headers(provider.chooseKey()),
        ...Object.entries(request.dialectHeaders).flat(),
      ],
      body: request.body,
    },
    dropped: [],
    createReader(contentType) {
      if (operation === Operation.GET_FILE_CONTENT) {
        return new KeptBytes(nothingUsed);
      }
      if (request.stream && contentType.startsWith("text/event-stream")) {
        return new KeptStream(streamObserver(kind), nothingUsed);
      }
      return isJson(contentType)
        ? new WholeAnswer("application/json", (_json: JsonObject, raw) => ({
            bytes: raw,
            end: { usage: nothingUsed, finishReason: FinishReason.UNSPECIFIED, complete: true },
          }))
        : undefined;
    },
  };
}

function streamObserver(kind: ProviderKind) {
  return kind.chat.createStreamObserver({ stripUsage: false });
}

function acceptOf(request: ExecuteRequest): string {
  if (request.operation === Operation.GET_FILE_CONTENT) {
    return "*/*";
  }
  return request.stream ? "text/event-stream" : "application/json";
}
