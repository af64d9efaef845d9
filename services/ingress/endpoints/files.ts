import { Buffer } from "node:buffer";
import { CodecError, type JsonObject } from "#codec/codec.ts";
import { fieldOf, parseMultipart } from "#codec/multipart/parse-multipart.ts";
import { ObjectKind, type OwnedObject } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import { readBody } from "../http/read-body.ts";
import { headerReader, type Keeper } from "../owned/ask-keeper.ts";
import { checkBatchFile } from "../owned/check-batch-file.ts";
import { newObjectId, noSuchObject, type ObjectRegistry, ownerOf } from "../owned/object-registry.ts";
import { requestError } from "../pipeline/request-error.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";
import { readContentType } from "./read-content-type.ts";
import { listBody, queryOf, readPage, replyAnswer, replyJson, splitRest, unknownPath } from "./reply-json.ts";

/** What the endpoints of files need. */
export interface FilesDeps {
  readonly registry: ObjectRegistry;
  readonly keeper: Keeper;
  readonly maxBodyBytes: number;
}

const dialect = Dialect.OPENAI_CHAT;

/** OpenAI's files: each is kept by one provider, under an id that only its owner can use. */
export function createFilesEndpoints(deps: FilesDeps): readonly Endpoint[] {
  const { registry, keeper } = deps;

  async function create(request: EndpointRequest): Promise<void> {
    const { req, key } = request;
    const contentType = readContentType(req.headers["content-type"] ?? "", ["multipart/form-data"]);
    const body = await readBody(req, deps.maxBodyBytes);
    const purpose = await readForm(body, contentType, request);
    const { head, body: made } = await keeper.ask(request, {
      operation: Operation.CREATE_FILE,
      dialect,
      provider: headerReader(request)("x-penstock-provider") ?? queryOf(request).get("provider") ?? "",
      providerId: "",
      id: "",
      body,
      contentType,
    });
    const id = newObjectId("file-");
    const shown = { ...made, id };
    await registry.put([
      {
        id,
        kind: ObjectKind.FILE,
        owner: ownerOf(key),
        provider: head.provider,
        providerId: requireId(made),
        purpose,
        descriptionJson: JSON.stringify(shown),
        createTimeMs: millisecondsOf(made, "created_at"),
        expireTimeMs: millisecondsOf(made, "expires_at"),
      },
    ]);
    replyAnswer(request, dialect, head, Buffer.from(JSON.stringify(shown)));
  }

  async function list(request: EndpointRequest): Promise<void> {
    const query = queryOf(request);
    const page = readPage(query, { usual: 10_000, most: 10_000 });
    await keeper.count(request, dialect);
    const { objects, hasMore } = await registry.list(request.key, {
      kind: ObjectKind.FILE,
      purpose: query.get("purpose") ?? "",
      ...page,
    });
    replyJson(request, listBody(objects.map(describe), hasMore));
  }

  async function read(request: EndpointRequest): Promise<void> {
    const { id, action } = splitRest(request);
    if (action !== "" && action !== "content") {
      throw unknownPath(request);
    }
    const file = await registry.get(request.key, ObjectKind.FILE, id);
    if (action === "content") {
      await keeper.pass(request, callOf(file, Operation.GET_FILE_CONTENT));
      return;
    }
    const { head, body } = await keeper.ask(request, callOf(file, Operation.GET_FILE));
    const shown = JSON.stringify({ ...body, id });
    await registry.put([{ ...known(file), descriptionJson: shown, expireTimeMs: millisecondsOf(body, "expires_at") }]);
    replyAnswer(request, dialect, head, Buffer.from(shown));
  }

  async function remove(request: EndpointRequest): Promise<void> {
    const { id, action } = splitRest(request);
    if (action !== "") {
      throw unknownPath(request);
    }
    const file = await registry.get(request.key, ObjectKind.FILE, id);
    const { head, body } = await keeper.ask(request, callOf(file, Operation.DELETE_FILE));
    await registry.delete(request.key, ObjectKind.FILE, id);
    replyAnswer(request, dialect, head, Buffer.from(JSON.stringify({ ...body, id })));
  }

  return [
    { method: "POST", path: "/files", dialect, handle: create },
    { method: "GET", path: "/files", dialect, handle: list },
    { method: "GET", path: "/files/", dialect, handle: read },
    { method: "DELETE", path: "/files/", dialect, handle: remove },
  ];
}

/** Reads what a file is for, and looks through the requests of a batch. */
async function readForm(body: Buffer, contentType: string, { key }: EndpointRequest): Promise<string> {
  try {
    const parts = parseMultipart(body, contentType);
    const field = fieldOf(parts, "purpose");
    const purpose = field === undefined ? "" : body.toString("utf8", field.start, field.end);
    if (purpose === "" || purpose.length > 64) {
      throw new CodecError("Missing required parameter: 'purpose'.", {
        code: "missing_required_parameter",
        param: "purpose",
      });
    }
    const [file, another] = parts.filter((part) => part.name === "file" || part.filename !== undefined);
    if (file?.filename === undefined || file.name !== "file" || another !== undefined) {
      throw new CodecError("The body must have one part 'file'.", {
        code: "missing_required_parameter",
        param: "file",
      });
    }
    if (purpose === "batch") {
      await checkBatchFile(body.subarray(file.start, file.end), key);
    }
    return purpose;
  } catch (error) {
    throw requestError(error);
  }
}

function callOf(file: OwnedObject, operation: Operation) {
  return { operation, dialect, provider: file.provider, providerId: file.providerId, id: file.id };
}

function known(file: OwnedObject) {
  const { id, kind, provider, providerId, owner } = file;
  if (owner === undefined) {
    throw noSuchObject(kind, id);
  }
  return { id, kind, provider, providerId, owner };
}

function requireId(made: JsonObject): string {
  const { id } = made;
  if (typeof id !== "string" || id === "") {
    throw new Error("a provider made a file without an id");
  }
  return id;
}

/** What callers are told of a file in a listing. */
function describe({ id, purpose, descriptionJson }: OwnedObject): object {
  return descriptionJson === ""
    ? { id, object: "file", bytes: 0, created_at: 0, filename: "", purpose, status: "processed" }
    : // The gateway wrote it, and it is an object.
      (JSON.parse(descriptionJson) as object);
}

/** OpenAI's times are seconds. */
function millisecondsOf(body: JsonObject, name: string): number | undefined {
  const seconds = body[name];
  return typeof seconds === "number" && seconds > 0 && seconds < 1e11 ? seconds * 1_000 : undefined;
}
