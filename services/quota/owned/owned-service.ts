import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ObjectKind,
  type OwnedObject,
  type OwnedObjectService,
  type Owner,
} from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { OwnedStore, StoredObject, StoredOwner } from "./owned-store.ts";

/** What the service works with. */
export interface OwnedServiceDeps {
  readonly store: OwnedStore;
  /** Unix milliseconds. */
  readonly wallClock: () => number;
}

const mostObjects = 100;
const mostIds = 1_000;
const mostListed = 10_000;
const usualPage = 100;

/** Translates between OwnedObjectService and its store. Holds no state of its own. */
export function createOwnedService(deps: OwnedServiceDeps): ServiceImpl<typeof OwnedObjectService> {
  const { store } = deps;
  return {
    async putObjects(request) {
      atMost(request.objects.length, mostObjects, "objects");
      const objects = request.objects.map((object) => storedOf(object, deps.wallClock()));
      const kept = await askStore(() => Promise.all(objects.map((object) => store.put(object))));
      return { objects: kept.filter((object) => object !== undefined).map(messageOf) };
    },
    async getObjects(request) {
      atMost(request.ids.length, mostIds, "ids");
      atMost(request.itemIds.length, mostIds, "item_ids");
      atMost(request.providerIds.length, mostIds, "provider_ids");
      const owner = requireOwner(request.owner);
      const [named, holders, kept] = await askStore(() =>
        Promise.all([
          request.ids.length === 0 ? [] : store.find(owner, requireKind(request.kind), request.ids),
          request.itemIds.length === 0 ? [] : store.findByItems(owner, ObjectKind.RESPONSE, request.itemIds),
          request.providerIds.length === 0
            ? []
            : store.findAtProvider(owner, requireKind(request.kind), request.provider, request.providerIds),
        ]),
      );
      // The newest of one id wins, and comes last.
      const found = new Map([...kept, ...holders, ...named].map((object) => [`${object.kind} ${object.id}`, object]));
      return { objects: [...found.values()].map(messageOf) };
    },
    async listObjects(request) {
      const owner = requireOwner(request.owner);
      const kind = requireKind(request.kind);
      const size = request.pageSize > 0 ? Math.min(request.pageSize, mostListed) : usualPage;
      const listed = await askStore(async () => {
        const [after] = request.afterId === "" ? [undefined] : await store.find(owner, kind, [request.afterId]);
        return request.afterId !== "" && after === undefined
          ? undefined
          : await store.list(owner, {
              kind,
              purpose: request.purpose,
              after,
              limit: size + 1,
              ascending: request.ascending,
            });
      });
      if (listed === undefined) {
        throw gatewayError(ErrorReason.NOT_FOUND, `Nothing with the id ${JSON.stringify(request.afterId)} is listed.`);
      }
      return { objects: listed.slice(0, size).map(messageOf), hasMore: listed.length > size };
    },
    async deleteObject(request) {
      const owner = requireOwner(request.owner);
      const kind = requireKind(request.kind);
      await askStore(() => store.delete(owner, kind, request.id));
      return {};
    },
  };
}

async function askStore<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "Nobody can say at the moment whose this is.", {
      retryDelayMs: 1_000,
      cause: error,
    });
  }
}

function requireOwner(owner: Owner | undefined): StoredOwner {
  if (owner === undefined || owner.keyId === "") {
    throw invalid("owner");
  }
  return owner;
}

function requireKind(kind: ObjectKind): ObjectKind {
  if (kind === ObjectKind.UNSPECIFIED) {
    throw invalid("kind");
  }
  return kind;
}

function atMost(count: number, most: number, name: string): void {
  if (count > most) {
    throw gatewayError(ErrorReason.INVALID_REQUEST, `At most ${most} ${name} can be named at once.`, {
      metadata: { param: name },
    });
  }
}

function invalid(name: string) {
  return gatewayError(ErrorReason.INVALID_REQUEST, `${name} is required`, { metadata: { param: name } });
}

function storedOf(object: OwnedObject, nowMs: number): StoredObject {
  if (object.id === "" || object.provider === "" || object.providerId === "") {
    throw invalid("id");
  }
  return {
    id: object.id,
    kind: requireKind(object.kind),
    owner: requireOwner(object.owner),
    provider: object.provider,
    providerId: object.providerId,
    model: object.model,
    purpose: object.purpose,
    descriptionJson: object.descriptionJson,
    itemIds: object.itemIds,
    contextTokens: object.contextTokens,
    usageAttemptId: object.usageAttemptId,
    createTimeMs: object.createTime === undefined ? nowMs : timestampMs(object.createTime),
    expireTimeMs: object.expireTime === undefined ? undefined : timestampMs(object.expireTime),
  };
}

function messageOf(stored: StoredObject): OwnedObject {
  return {
    $typeName: "penstock.owned.v1.OwnedObject",
    id: stored.id,
    kind: stored.kind,
    owner: { $typeName: "penstock.owned.v1.Owner", ...stored.owner },
    provider: stored.provider,
    providerId: stored.providerId,
    model: stored.model,
    purpose: stored.purpose,
    descriptionJson: stored.descriptionJson,
    itemIds: [...stored.itemIds],
    usageAttemptId: stored.usageAttemptId,
    createTime: timestampFromMs(stored.createTimeMs),
    ...(stored.contextTokens === undefined ? {} : { contextTokens: stored.contextTokens }),
    ...(stored.expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(stored.expireTimeMs) }),
  };
}
