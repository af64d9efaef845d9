import { randomBytes } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client, ConnectError } from "@connectrpc/connect";
import {
  ObjectKind,
  type OwnedObject,
  type OwnedObjectService,
  type Owner,
} from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { errorDetailOf, gatewayError } from "#kit/errors/gateway-error.ts";

/** What there is to know of a thing when it is remembered. */
export interface NewObject {
  readonly id: string;
  readonly kind: ObjectKind;
  readonly owner: Owner;
  readonly provider: string;
  readonly providerId: string;
  readonly model?: string;
  readonly purpose?: string;
  readonly descriptionJson?: string;
  readonly itemIds?: readonly string[];
  readonly contextTokens?: bigint | undefined;
  readonly usageAttemptId?: string;
  /** Unix milliseconds; now when absent. */
  readonly createTimeMs?: number | undefined;
  /** Unix milliseconds; never when absent. */
  readonly expireTimeMs?: number | undefined;
}

/** Which of its things an owner wants listed. */
export interface ListQuery {
  readonly kind: ObjectKind;
  readonly purpose: string;
  readonly afterId: string;
  readonly limit: number;
  readonly ascending: boolean;
}

/** Whose the things are that providers keep. All methods reject with SERVICE_UNAVAILABLE when nobody can say. */
export interface ObjectRegistry {
  /** Those of the things that exist and are the key's to use. */
  find(key: KeyRecord, kind: ObjectKind, ids: readonly string[]): Promise<readonly OwnedObject[]>;
  /** The responses that hold these items, as far as they are the key's to use. */
  findByItems(key: KeyRecord, itemIds: readonly string[]): Promise<readonly OwnedObject[]>;
  /** Those of the files that a provider keeps under these ids that are the key's to use. */
  findFilesAt(key: KeyRecord, provider: string, providerIds: readonly string[]): Promise<readonly OwnedObject[]>;
  /** One thing. Rejects with NOT_FOUND for what does not exist and what is another's: nobody can tell which. */
  get(key: KeyRecord, kind: ObjectKind, id: string): Promise<OwnedObject>;
  list(
    key: KeyRecord,
    query: ListQuery,
  ): Promise<{ readonly objects: readonly OwnedObject[]; readonly hasMore: boolean }>;
  /** Remembers things. The answer has them as they are known, without those that are another's. */
  put(objects: readonly NewObject[]): Promise<readonly OwnedObject[]>;
  delete(key: KeyRecord, kind: ObjectKind, id: string): Promise<void>;
}

const timeoutMs = 2_000;

/** Makes the registry as the ingress uses it. */
export function createObjectRegistry(service: Client<typeof OwnedObjectService>): ObjectRegistry {
  const ask = async <T>(call: (options: { readonly timeoutMs: number }) => Promise<T>): Promise<T> => {
    try {
      return await call({ timeoutMs });
    } catch (error) {
      if (errorDetailOf(error).reason === ErrorReason.NOT_FOUND) {
        throw error;
      }
      throw gatewayError(ErrorReason.SERVICE_UNAVAILABLE, "Nobody can say at the moment whose this is.", {
        retryDelayMs: 1_000,
        cause: error,
      });
    }
  };
  const find: ObjectRegistry["find"] = async (key, kind, ids) =>
    (await ask((options) => service.getObjects({ owner: ownerOf(key), kind, ids: [...ids] }, options))).objects;
  return {
    find,
    findByItems: async (key, itemIds) =>
      (await ask((options) => service.getObjects({ owner: ownerOf(key), itemIds: [...itemIds] }, options))).objects,
    findFilesAt: async (key, provider, providerIds) =>
      (
        await ask((options) =>
          service.getObjects(
            { owner: ownerOf(key), kind: ObjectKind.FILE, provider, providerIds: [...providerIds] },
            options,
          ),
        )
      ).objects,
    async get(key, kind, id) {
      const [found] = id === "" || id.length > longestId ? [] : await find(key, kind, [id]);
      if (found === undefined) {
        throw noSuchObject(kind, id);
      }
      return found;
    },
    list: (key, { kind, purpose, afterId, limit, ascending }) =>
      ask((options) =>
        service.listObjects({ owner: ownerOf(key), kind, purpose, afterId, pageSize: limit, ascending }, options),
      ),
    put: async (objects) =>
      (await ask((options) => service.putObjects({ objects: objects.map(messageOf) }, options))).objects,
    async delete(key, kind, id) {
      await ask((options) => service.deleteObject({ owner: ownerOf(key), kind, id }, options));
    },
  };
}

const longestId = 512;

/** As whom a key makes things, and uses them. */
export function ownerOf(key: KeyRecord): Owner {
  return {
    $typeName: "penstock.owned.v1.Owner",
    organizationId: key.organizationId,
    teamId: key.teamId,
    keyId: key.id,
  };
}

/** A new id in the form of OpenAI's, that nobody can guess. */
export function newObjectId(prefix: "file-" | "batch_"): string {
  return `${prefix}${randomBytes(16).toString("hex")}`;
}

const words: { readonly [K in ObjectKind]: string } = {
  [ObjectKind.UNSPECIFIED]: "object",
  [ObjectKind.FILE]: "File object",
  [ObjectKind.BATCH]: "Batch object",
  [ObjectKind.RESPONSE]: "Response object",
  [ObjectKind.CONTAINER]: "Container object",
};

/** What callers are told of what does not exist, and of what is another's. */
export function noSuchObject(kind: ObjectKind, id: string, param?: string): ConnectError {
  return gatewayError(ErrorReason.NOT_FOUND, `No such ${words[kind]}: ${id.slice(0, 100)}`, {
    metadata: param === undefined ? {} : { param },
  });
}

function messageOf(object: NewObject): OwnedObject {
  return {
    $typeName: "penstock.owned.v1.OwnedObject",
    id: object.id,
    kind: object.kind,
    owner: object.owner,
    provider: object.provider,
    providerId: object.providerId,
    model: object.model ?? "",
    purpose: object.purpose ?? "",
    descriptionJson: object.descriptionJson ?? "",
    itemIds: [...(object.itemIds ?? [])],
    usageAttemptId: object.usageAttemptId ?? "",
    ...(object.contextTokens === undefined ? {} : { contextTokens: object.contextTokens }),
    ...(object.createTimeMs === undefined ? {} : { createTime: timestampFromMs(object.createTimeMs) }),
    ...(object.expireTimeMs === undefined ? {} : { expireTime: timestampFromMs(object.expireTimeMs) }),
  };
}
