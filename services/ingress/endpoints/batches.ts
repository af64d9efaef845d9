import { Buffer } from "node:buffer";
import { randomUUIDv7 } from "node:crypto";
import { CodecError, type JsonObject } from "#codec/codec.ts";
import { ObjectKind, type OwnedObject } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import { readBody } from "../http/read-body.ts";
import type { Keeper, KeeperAnswer } from "../owned/ask-keeper.ts";
import { findReferences, replaceStrings } from "../owned/find-references.ts";
import { newObjectId, type ObjectRegistry, ownerOf } from "../owned/object-registry.ts";
import { type RecordKeptUsageDeps, recordKeptUsage } from "../owned/record-kept-usage.ts";
import { isOver, showBatch } from "../owned/show-batch.ts";
import { parseBody } from "../pipeline/parse-body.ts";
import { requestError } from "../pipeline/request-error.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";
import { readContentType } from "./read-content-type.ts";
import { listBody, queryOf, readPage, replyAnswer, replyJson, splitRest, unknownPath } from "./reply-json.ts";

/** What the endpoints of batches need. */
export interface BatchesDeps extends RecordKeptUsageDeps {
  readonly registry: ObjectRegistry;
  readonly keeper: Keeper;
  readonly maxBodyBytes: number;
}

const dialect = Dialect.OPENAI_CHAT;
const wanted = { names: new Set(["input_file_id"]), opaque: new Set(["metadata"]) };

/** OpenAI's batches: they go to the provider that keeps the file of their requests. */
export function createBatchesEndpoints(deps: BatchesDeps): readonly Endpoint[] {
  const { registry, keeper } = deps;

  async function create(request: EndpointRequest): Promise<void> {
    const { req, key } = request;
    readContentType(req.headers["content-type"] ?? "", ["application/json"]);
    const body = await readBody(req, deps.maxBodyBytes);
    if (key.hasBudget || key.mayHaveBudget) {
      // A batch spends for a day after it was made: nobody would hold what it costs until its end.
      throw gatewayError(ErrorReason.PERMISSION_DENIED, "Batches cannot be made where a budget applies.");
    }
    const named = readInput(body);
    const file = await registry.get(key, ObjectKind.FILE, named.value);
    if (file.purpose !== "batch" || (key.allowedModels.length > 0 && file.owner?.keyId !== key.id)) {
      // Only files for batches are looked through, with the models in mind of the key that brings them.
      throw gatewayError(
        ErrorReason.INVALID_REQUEST,
        "The input file was not made by this key for the purpose batch.",
        {
          metadata: { param: "input_file_id" },
        },
      );
    }
    const { head, body: made } = await keeper.ask(request, {
      operation: Operation.CREATE_BATCH,
      dialect,
      provider: file.provider,
      providerId: "",
      id: "",
      body: replaceStrings(body, [{ at: named, value: file.providerId }]),
    });
    const { id: providerId } = made;
    if (typeof providerId !== "string" || providerId === "") {
      throw new Error("a provider made a batch without an id");
    }
    const id = newObjectId("batch_");
    const owner = ownerOf(key);
    const shown = JSON.stringify(await showBatch(made, { id, provider: head.provider, owner }, registry));
    await registry.put([
      {
        id,
        kind: ObjectKind.BATCH,
        owner,
        provider: head.provider,
        providerId,
        descriptionJson: shown,
        usageAttemptId: randomUUIDv7(),
      },
    ]);
    replyAnswer(request, dialect, head, Buffer.from(shown));
  }

  async function list(request: EndpointRequest): Promise<void> {
    const page = readPage(queryOf(request), { usual: 20, most: 100 });
    await keeper.count(request, dialect);
    const { objects, hasMore } = await registry.list(request.key, { kind: ObjectKind.BATCH, purpose: "", ...page });
    replyJson(request, listBody(objects.map(described), hasMore));
  }

  async function read(request: EndpointRequest): Promise<void> {
    const { id, action } = splitRest(request);
    if (action !== "") {
      throw unknownPath(request);
    }
    await answer(request, await registry.get(request.key, ObjectKind.BATCH, id), Operation.GET_BATCH);
  }

  async function act(request: EndpointRequest): Promise<void> {
    const { id, action } = splitRest(request);
    if (action !== "cancel") {
      throw unknownPath(request);
    }
    request.req.resume();
    await answer(request, await registry.get(request.key, ObjectKind.BATCH, id), Operation.CANCEL_BATCH);
  }

  async function answer(request: EndpointRequest, batch: OwnedObject, operation: Operation): Promise<void> {
    const { id, provider, providerId, owner } = batch;
    const told: KeeperAnswer = await keeper.ask(request, { operation, dialect, provider, providerId, id });
    const shown = await showBatch(told.body, { id, provider, owner: owner ?? ownerOf(request.key) }, registry);
    if (isOver(shown) && !isOver(described(batch))) {
      await recordKeptUsage(batch, shown, Operation.BATCH_USAGE, deps);
    }
    const text = JSON.stringify(shown);
    await registry.put([
      { id, kind: ObjectKind.BATCH, owner: owner ?? ownerOf(request.key), provider, providerId, descriptionJson: text },
    ]);
    replyAnswer(request, dialect, told.head, Buffer.from(text));
  }

  return [
    { method: "POST", path: "/batches", dialect, handle: create },
    { method: "GET", path: "/batches", dialect, handle: list },
    { method: "GET", path: "/batches/", dialect, handle: read },
    { method: "POST", path: "/batches/", dialect, handle: act },
  ];
}

/** Where the body names the file of its requests. Throws INVALID_REQUEST when it does not. */
function readInput(body: Buffer) {
  try {
    parseBody(body);
    const [named] = findReferences(body, wanted).flatMap(({ depth, members }) =>
      depth === 0 ? (members.get("input_file_id") ?? []) : [],
    );
    if (named === undefined) {
      throw new CodecError("Missing required parameter: 'input_file_id'.", {
        code: "missing_required_parameter",
        param: "input_file_id",
      });
    }
    return named;
  } catch (error) {
    throw requestError(error);
  }
}

/** The batch as its owner last saw it. */
function described(batch: OwnedObject): JsonObject {
  // The gateway wrote it, and it is an object.
  return JSON.parse(batch.descriptionJson) as JsonObject;
}
