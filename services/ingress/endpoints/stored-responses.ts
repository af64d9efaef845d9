import { Buffer } from "node:buffer";
import type { Json, JsonObject } from "#codec/codec.ts";
import { ObjectKind, type OwnedObject } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { Dialect, Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { Keeper } from "../owned/ask-keeper.ts";
import { replaceIds } from "../owned/kept-reply.ts";
import { keptOfResponse } from "../owned/learn-kept.ts";
import { type ObjectRegistry, ownerOf } from "../owned/object-registry.ts";
import { type RecordKeptUsageDeps, recordKeptUsage } from "../owned/record-kept-usage.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";
import { queryOf, replyAnswer, splitRest, unknownPath } from "./reply-json.ts";

/** What the endpoints of stored responses need. */
export interface StoredResponsesDeps extends RecordKeptUsageDeps {
  readonly registry: ObjectRegistry;
  readonly keeper: Keeper;
}

const dialect = Dialect.OPENAI_RESPONSES;
const mostFiles = 1_000;
const passedOn = [
  "include",
  "include[]",
  "include_obfuscation",
  "stream",
  "starting_after",
  "limit",
  "order",
  "after",
  "before",
];

/** OpenAI's stored responses: each is kept by the provider that made it. */
export function createStoredResponsesEndpoints(deps: StoredResponsesDeps): readonly Endpoint[] {
  const { registry, keeper } = deps;

  async function answer(request: EndpointRequest, id: string, operation: Operation): Promise<void> {
    const response = await registry.get(request.key, ObjectKind.RESPONSE, id);
    const query = passedQuery(request);
    const call = {
      operation,
      dialect,
      provider: response.provider,
      providerId: response.providerId,
      id,
      query: query.toString(),
      stream: operation === Operation.GET_RESPONSE && query.get("stream") === "true",
    };
    if (call.stream) {
      await keeper.pass(request, call);
      return;
    }
    const { head, body } = await keeper.ask(request, call);
    if (operation === Operation.DELETE_RESPONSE) {
      await registry.delete(request.key, ObjectKind.RESPONSE, id);
    } else if (operation !== Operation.LIST_RESPONSE_INPUT) {
      await remember(request, response, body);
    }
    const fileIds = await callersFileIds(request, response, body);
    replyAnswer(request, dialect, head, replaceIds(Buffer.from(JSON.stringify(body)), fileIds));
  }

  /** What was made in the background is known only now. */
  async function remember(request: EndpointRequest, response: OwnedObject, body: JsonObject): Promise<void> {
    const kept = keptOfResponse(body);
    if (kept.unfinished || response.contextTokens !== undefined) {
      return;
    }
    await recordKeptUsage(response, body, Operation.RESPONSE_USAGE, deps);
    const { id, provider, providerId } = response;
    const owner = response.owner ?? ownerOf(request.key);
    await registry.put([
      {
        id,
        kind: ObjectKind.RESPONSE,
        owner,
        provider,
        providerId,
        itemIds: kept.itemIds,
        contextTokens: kept.contextTokens,
      },
      ...kept.containerIds
        .slice(0, 50)
        .map((container) => ({ id: container, kind: ObjectKind.CONTAINER, owner, provider, providerId: container })),
    ]);
  }

  /** The ids by which callers know the files that an answer names. */
  async function callersFileIds(
    request: EndpointRequest,
    { provider }: OwnedObject,
    body: JsonObject,
  ): Promise<ReadonlyMap<string, string>> {
    // Callers can put ids into their own part of a response: one that nobody owns stays what it is.
    const named = [...new Set(fileIdsIn(body))].slice(0, mostFiles);
    const known = named.length === 0 ? [] : await registry.findFilesAt(request.key, provider, named);
    return new Map(known.map((file) => [file.providerId, file.id]));
  }

  return [
    {
      method: "GET",
      path: "/responses/",
      dialect,
      async handle(request) {
        const { id, action } = splitRest(request);
        if (action !== "" && action !== "input_items") {
          throw unknownPath(request);
        }
        await answer(request, id, action === "" ? Operation.GET_RESPONSE : Operation.LIST_RESPONSE_INPUT);
      },
    },
    {
      method: "DELETE",
      path: "/responses/",
      dialect,
      async handle(request) {
        const { id, action } = splitRest(request);
        if (action !== "") {
          throw unknownPath(request);
        }
        await answer(request, id, Operation.DELETE_RESPONSE);
      },
    },
    {
      method: "POST",
      path: "/responses/",
      dialect,
      async handle(request) {
        const { id, action } = splitRest(request);
        if (action !== "cancel") {
          throw unknownPath(request);
        }
        request.req.resume();
        await answer(request, id, Operation.CANCEL_RESPONSE);
      },
    },
  ];
}

/** The parameters that OpenAI has, and no others: what a provider makes of a query is not for callers to find out. */
function passedQuery(request: EndpointRequest): URLSearchParams {
  const given = queryOf(request);
  const query = new URLSearchParams();
  for (const name of passedOn) {
    for (const value of given.getAll(name)) {
      query.append(name, value);
    }
  }
  return query;
}

/** Every `file_id` of an answer, which is of a sane depth since it was parsed. */
function fileIdsIn(value: Json | undefined): readonly string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  if (Array.isArray(value)) {
    return (value as readonly Json[]).flatMap(fileIdsIn);
  }
  return Object.entries(value).flatMap(([name, member]) =>
    name === "file_id" && typeof member === "string" && member !== "" ? [member] : fileIdsIn(member),
  );
}
