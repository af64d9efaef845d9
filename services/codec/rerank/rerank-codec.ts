import { CodecError, type Json, type JsonObject, ProviderStreamError } from "../codec.ts";
import { invalidValue, isJsonArray, isJsonObject, missing, unsupported, wrongType } from "../json/json-fields.ts";
import { asNumber, asObject, asString } from "../json/json-values.ts";

/** Documents to be ordered by their relevance to a query. */
export interface RerankRequest {
  readonly query: string;
  /** As the caller sent them: texts, or objects with a text or, for some models, something else. */
  readonly documents: readonly Json[];
  /** How many are wanted, the most relevant first; all when absent. */
  readonly topN: number | undefined;
  /** Whether the documents are to be repeated in the answer. */
  readonly returnDocuments: boolean;
  readonly maxTokensPerDocument: number | undefined;
  /** In whose form the caller asks, and wants to be answered: Cohere's, which is Jina's too, or Voyage's. */
  readonly form: AnswerForm;
}

/** The forms of answers: `results`, or a list of `data`. */
export type AnswerForm = "cohere" | "voyage";

/** What a provider made of it. */
export interface RerankAnswer {
  readonly id: string;
  readonly results: readonly { readonly index: number; readonly score: number }[];
  /** What Cohere bills. Undefined where none are reported. */
  readonly searchUnits: number | undefined;
  /** Undefined where none are reported. */
  readonly totalTokens: number | undefined;
}

/** How a provider orders documents. */
export interface RerankForm {
  /** The member that says how many are wanted. */
  readonly limitMember: "top_n" | "top_k";
  /** In whose form it is asked and answers; undefined when it is asked in one and answers in the other. */
  readonly form: AnswerForm | undefined;
  /** Whether it takes documents that are objects, and repeats documents in its answers. */
  readonly repeatsDocuments: boolean;
}

/** The forms that are in use. */
export const rerankForms = {
  cohere: { limitMember: "top_n", form: "cohere", repeatsDocuments: false },
  jina: { limitMember: "top_n", form: "cohere", repeatsDocuments: true },
  fireworks: { limitMember: "top_n", form: undefined, repeatsDocuments: false },
  voyage: { limitMember: "top_k", form: "voyage", repeatsDocuments: true },
} as const satisfies Readonly<Record<string, RerankForm>>;

/** The most documents of one request. */
const MOST_DOCUMENTS = 10_000;

/** Reads a caller's request in any form: only Voyage's clients send `top_k` and `truncation`. Throws CodecError. */
export function decodeRerankRequest(body: JsonObject): RerankRequest {
  const { query, documents } = body;
  if (query === undefined) {
    throw missing("query");
  }
  if (typeof query !== "string") {
    throw wrongType("query", "a string");
  }
  if (documents === undefined) {
    throw missing("documents");
  }
  if (!isJsonArray(documents)) {
    throw wrongType("documents", "an array");
  }
  if (documents.length === 0 || documents.length > MOST_DOCUMENTS) {
    throw invalidValue("documents", `must have 1 to ${MOST_DOCUMENTS} documents`);
  }
  for (const [index, document] of documents.entries()) {
    if (typeof document !== "string" && !isJsonObject(document)) {
      throw wrongType(`documents[${index}]`, "a string or an object with a text");
    }
  }
  return {
    query,
    documents,
    topN: readCount(body, "top_n") ?? readCount(body, "top_k"),
    returnDocuments: body["return_documents"] === true,
    maxTokensPerDocument: readCount(body, "max_tokens_per_doc"),
    form: body["top_k"] === undefined && body["truncation"] === undefined ? "cohere" : "voyage",
  };
}

/** Whether a provider of this form can be given a caller's body as it is, and the caller its answer. */
export function isForwardable(body: JsonObject, request: RerankRequest, form: RerankForm): boolean {
  return (
    form.form === request.form &&
    (form.repeatsDocuments ||
      ((body["return_documents"] ?? undefined) === undefined &&
        request.documents.every((document) => typeof document === "string")))
  );
}

/** Writes a request for a provider. Throws CodecError (`unsupported_feature`) for documents that have no text. */
export function encodeRerankRequest(
  request: RerankRequest,
  form: RerankForm,
  model: string,
): { readonly body: JsonObject; readonly dropped: readonly string[] } {
  const takesTokens = form === rerankForms.cohere;
  return {
    body: {
      model,
      query: request.query,
      documents: request.documents.map(textOf),
      ...(request.topN === undefined ? {} : { [form.limitMember]: request.topN }),
      ...(request.maxTokensPerDocument === undefined || !takesTokens
        ? {}
        : { max_tokens_per_doc: request.maxTokensPerDocument }),
    },
    dropped: request.maxTokensPerDocument === undefined || takesTokens ? [] : ["max_tokens_per_doc"],
  };
}

/** Reads a provider's answer, of whatever form. Throws CodecError, or ProviderStreamError for an error with status 200. */
export function decodeRerankAnswer(body: JsonObject): RerankAnswer {
  if (asObject(body["error"]) !== undefined) {
    throw new ProviderStreamError(body);
  }
  const list = body["results"] ?? body["data"];
  if (!isJsonArray(list)) {
    throw new CodecError("the answer has no results", { param: "results", code: "missing_required_parameter" });
  }
  const results = list.map((entry, position) => {
    const object = asObject(entry) ?? {};
    const index = asNumber(object["index"]);
    const score = asNumber(object["relevance_score"]) ?? asNumber(object["score"]);
    if (index === undefined || score === undefined) {
      throw new CodecError("the answer has a result without index or score", {
        param: `results[${position}]`,
        code: "invalid_type",
      });
    }
    return { index, score };
  });
  const usage = asObject(body["usage"]);
  const meta = asObject(body["meta"]);
  return {
    id: asString(body["id"]),
    results,
    searchUnits: asNumber(asObject(meta?.["billed_units"])?.["search_units"]),
    totalTokens:
      asNumber(usage?.["total_tokens"]) ??
      asNumber(usage?.["prompt_tokens"]) ??
      asNumber(asObject(meta?.["tokens"])?.["input_tokens"]),
  };
}

/** Writes an answer in the caller's form, with the documents where they are wanted. */
export function encodeRerankAnswer(answer: RerankAnswer, request: RerankRequest, model: string): JsonObject {
  if (request.form === "voyage") {
    return {
      object: "list",
      data: answer.results.map(({ index, score }) => ({
        relevance_score: score,
        index,
        ...(request.returnDocuments ? { document: textOf(request.documents[index] ?? "", index) } : {}),
      })),
      model,
      usage: { total_tokens: answer.totalTokens ?? 0 },
    };
  }
  return {
    ...(answer.id === "" ? {} : { id: answer.id }),
    model,
    results: answer.results.map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(request.returnDocuments ? { document: { text: textOf(request.documents[index] ?? "", index) } } : {}),
    })),
    ...(answer.searchUnits === undefined ? {} : { meta: { billed_units: { search_units: answer.searchUnits } } }),
    ...(answer.totalTokens === undefined ? {} : { usage: { total_tokens: answer.totalTokens } }),
  };
}

function textOf(document: Json, index: number): string {
  const text = typeof document === "string" ? document : asObject(document)?.["text"];
  if (typeof text !== "string") {
    throw unsupported(`documents[${index}]`, "must be a text for this model");
  }
  return text;
}

function readCount(body: JsonObject, name: string): number | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined) {
    return undefined;
  }
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw wrongType(name, "an integer");
  }
  if (value < 1) {
    throw invalidValue(name, "must be at least 1");
  }
  return value;
}
