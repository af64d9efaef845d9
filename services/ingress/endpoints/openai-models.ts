import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { ModelEntry } from "#gen/penstock/router/v1/router_service_pb.ts";
import type { HttpResponse } from "#kit/http/create-http-server.ts";
import { authorizeModel, mayUseModel } from "../pipeline/authorize-model.ts";
import type { ModelDirectory } from "../snapshots/model-directory.ts";
import type { Endpoint } from "./endpoint.ts";

/** What the listing of models needs. */
export interface ModelsDeps {
  readonly models: ModelDirectory;
}

/** `GET /v1/models` and `GET /v1/models/{id}`: the models that the key may use. */
export function createOpenAiModelsEndpoints(deps: ModelsDeps): readonly Endpoint[] {
  return [
    {
      method: "GET",
      path: "/models",
      dialect: Dialect.OPENAI_CHAT,
      handle({ res, requestId, key }) {
        const data = deps.models
          .list()
          .filter((model) => mayUseModel(key, model.name))
          .map(modelJson);
        sendJson(res, requestId, { object: "list", data });
      },
    },
    {
      method: "GET",
      path: "/models/",
      dialect: Dialect.OPENAI_CHAT,
      async handle({ res, requestId, key, rest }) {
        const model = await deps.models.find(decodeName(rest));
        authorizeModel(key, model.name);
        sendJson(res, requestId, modelJson(model));
      },
    },
  ];
}

function modelJson(model: ModelEntry): object {
  return {
    id: model.name,
    object: "model",
    created: model.createTime === undefined ? 0 : Math.floor(timestampMs(model.createTime) / 1000),
    owned_by: model.providers.join(",") || "penstock",
  };
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
