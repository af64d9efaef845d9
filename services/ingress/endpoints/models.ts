import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ModelEntry } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { HttpResponse } from "#kit/http/create-http-server.ts";
import { authorizeModel, mayUseModel } from "../pipeline/authorize-model.ts";
import type { ModelDirectory } from "../snapshots/model-directory.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";

/** What the listing of models needs. */
export interface ModelsDeps {
  readonly models: ModelDirectory;
}

/**
 * `GET /v1/models` and `GET /v1/models/{id}`, in Anthropic's form for callers that name its version and in Google's for
 * those that send their key in its header field, and Google's `GET /v1beta/models` and `GET /v1beta/models/{id}`: the
 * models that the key may use.
 */
export function createModelsEndpoints(deps: ModelsDeps): readonly Endpoint[] {
  return [
    ...listing(deps, "/models", undefined, ({ req }) => formFor(req.headers)),
    ...listing(deps, "/v1beta/models", Dialect.GEMINI, () => geminiForm),
  ];
}

function formFor(headers: EndpointRequest["req"]["headers"]): ModelsForm {
  if (headers["anthropic-version"] !== undefined) {
    return anthropicForm;
  }
  return headers["x-goog-api-key"] === undefined ? openAiForm : geminiForm;
}

/** How a dialect writes models. */
interface ModelsForm {
  one(model: ModelEntry): object;
  all(models: readonly ModelEntry[]): object;
}

const openAiForm: ModelsForm = {
  one: (model) => ({
    id: model.name,
    object: "model",
    created: createdAt(model),
    owned_by: model.providers.join(",") || "penstock",
  }),
  all: (models) => ({ object: "list", data: models.map(openAiForm.one) }),
};

const anthropicForm: ModelsForm = {
  one: (model) => ({
    type: "model",
    id: model.name,
    display_name: model.name,
    created_at: new Date(createdAt(model) * 1000).toISOString(),
  }),
  all: (models) => ({
    data: models.map(anthropicForm.one),
    has_more: false,
    first_id: models[0]?.name ?? null,
    last_id: models.at(-1)?.name ?? null,
  }),
};

const geminiForm: ModelsForm = {
  one: (model) => ({
    name: `models/${model.name}`,
    displayName: model.name,
    supportedGenerationMethods: ["generateContent", "streamGenerateContent", "batchEmbedContents"],
  }),
  all: (models) => ({ models: models.map(geminiForm.one) }),
};

function listing(
  deps: ModelsDeps,
  path: string,
  dialect: Dialect | undefined,
  formOf: (request: EndpointRequest) => ModelsForm,
): readonly Endpoint[] {
  const ofDialect = dialect === undefined ? {} : { dialect };
  return [
    {
      method: "GET",
      path,
      ...ofDialect,
      handle(request) {
        const models = deps.models.list().filter((model) => mayUseModel(request.key, model.name));
        sendJson(request.res, request.requestId, formOf(request).all(models));
      },
    },
    {
      method: "GET",
      path: `${path}/`,
      ...ofDialect,
      async handle(request) {
        const model = await deps.models.find(decodeName(request.rest));
        authorizeModel(request.key, model.name);
        sendJson(request.res, request.requestId, formOf(request).one(model));
      },
    },
  ];
}

/** Unix seconds. */
function createdAt(model: ModelEntry): number {
  return model.createTime === undefined ? 0 : Math.floor(timestampMs(model.createTime) / 1000);
}

function decodeName(rest: string): string {
  try {
    return decodeURIComponent(rest);
  } catch {
    // A name that is not valid percent-encoding is no model's name.
    return rest;
  }
}

function sendJson(res: HttpResponse, requestId: string, value: object): void {
  const body = Buffer.from(JSON.stringify(value));
  res.writeHead(200, {
    "content-type": "application/json",
    "content-length": body.length,
    "x-request-id": requestId,
  });
  res.end(body);
}
