import type { Buffer } from "node:buffer";
import { CodecError } from "#codec/codec.ts";
import { ObjectKind, type OwnedObject } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import {
  type FoundObject,
  type FoundString,
  findReferences,
  mayName,
  replaceStrings,
  type WantedMembers,
} from "./find-references.ts";
import { noSuchObject, type ObjectRegistry } from "./object-registry.ts";

/** What a request refers to. */
export interface References {
  readonly files: readonly FoundString[];
  readonly containers: readonly FoundString[];
  /** The items of stored responses. */
  readonly items: readonly FoundString[];
  readonly response: FoundString | undefined;
}

/** A request whose references are its key's to use. */
export interface ResolvedReferences {
  /** The body with the provider's ids in place of the gateway's. */
  readonly body: Buffer;
  /** The provider that keeps what the request refers to. */
  readonly provider: string;
  /** What the request adds to its input by going on with what is stored, in tokens. */
  readonly contextTokens: bigint;
  /** The callers' ids of files by the provider's, for the way back. */
  readonly fileIds: ReadonlyMap<string, string>;
}

interface DialectReferences {
  /** A body without any of these names nothing that is kept. */
  readonly words: readonly string[];
  readonly wanted: WantedMembers;
}

const chat: DialectReferences = {
  words: ["file_id"],
  wanted: { names: new Set(["file_id"]), opaque: new Set(["metadata", "parameters", "schema"]) },
};

const byDialect: ReadonlyMap<Dialect, DialectReferences> = new Map([
  [Dialect.OPENAI_CHAT, chat],
  [
    Dialect.OPENAI_RESPONSES,
    {
      words: ["file_id", "container", "previous_response_id", "vector_store_id", '"id"'],
      wanted: {
        names: new Set([
          "file_id",
          "file_ids",
          "container",
          "container_id",
          "previous_response_id",
          "vector_store_ids",
          "type",
          "role",
          "result",
          "id",
        ]),
        // Sources that an answer cites are told again with it, and give access to nothing.
        opaque: new Set(["metadata", "parameters", "schema", "annotations"]),
      },
    },
  ],
  [
    Dialect.ANTHROPIC_MESSAGES,
    {
      words: ["file_id", "container"],
      wanted: {
        names: new Set(["file_id", "container", "id"]),
        opaque: new Set(["metadata", "input", "input_schema", "schema", "citations"]),
      },
    },
  ],
]);

/** How many tokens a stored response can add whose size nobody knows: no model reads more. */
const unknownContextTokens = 2_000_000n;
const mostReferences = 1_000;

/** Finds what a body refers to; undefined when it is nothing. Throws CodecError for what no tenant may refer to. */
export function readReferences(body: Buffer, dialect: Dialect): References | undefined {
  const known = byDialect.get(dialect);
  if (known === undefined || !mayName(body, known.words)) {
    return undefined;
  }
  const found = findReferences(body, known.wanted);
  const references: References = {
    files: found.flatMap(({ members }) => [...(members.get("file_id") ?? []), ...(members.get("file_ids") ?? [])]),
    containers: found.flatMap(containersOf),
    items: dialect === Dialect.OPENAI_RESPONSES ? found.flatMap(itemsOf) : [],
    response: found.find(({ depth }) => depth === 0)?.members.get("previous_response_id")?.[0],
  };
  if (found.some(({ members }) => members.has("vector_store_ids"))) {
    throw new CodecError("Vector stores are not supported by this gateway.", {
      code: "unsupported_parameter",
      param: "tools",
    });
  }
  const { files, containers, items, response } = references;
  if (files.length + containers.length + items.length > mostReferences) {
    throw new CodecError(`A request may not refer to more than ${mostReferences} things.`, { code: "invalid_value" });
  }
  return files.length + containers.length + items.length === 0 && response === undefined ? undefined : references;
}

/** A container is named by its id, or by an object that has its id. */
function containersOf({ holder, members }: FoundObject): readonly FoundString[] {
  return [
    ...(members.get("container") ?? []),
    ...(members.get("container_id") ?? []),
    ...(holder === "container" ? (members.get("id") ?? []) : []),
  ];
}

/** References to items say so, or say nothing but the id. A picture that is not sent along is referred to by its call. */
function itemsOf({ holder, depth, members }: FoundObject): readonly FoundString[] {
  if (holder !== "input" || depth !== 1) {
    return [];
  }
  const type = members.get("type")?.[0]?.value;
  const isPicture = type === "image_generation_call" && (members.get("result")?.[0]?.value ?? "") === "";
  const isReference = type === "item_reference" || (type === undefined && !members.has("role"));
  return isReference || isPicture ? (members.get("id") ?? []) : [];
}

/**
 * Makes sure that what a body refers to is its key's to use and at one provider, and puts the provider's ids into it.
 * Rejects with NOT_FOUND, alike for what does not exist and for what is another's.
 */
export async function resolveReferences(
  body: Buffer,
  references: References,
  key: KeyRecord,
  registry: ObjectRegistry,
): Promise<ResolvedReferences> {
  const { files, containers, items, response } = references;
  const [ownFiles, ownContainers, ownResponses, holders] = await Promise.all([
    findAll(registry, key, ObjectKind.FILE, files),
    findAll(registry, key, ObjectKind.CONTAINER, containers),
    findAll(registry, key, ObjectKind.RESPONSE, response === undefined ? [] : [response]),
    items.length === 0 ? [] : registry.findByItems(key, unique(items)),
  ]);
  requireAll(ObjectKind.FILE, files, ownFiles, "file_id");
  requireAll(ObjectKind.CONTAINER, containers, ownContainers, "container");
  requireAll(ObjectKind.RESPONSE, response === undefined ? [] : [response], ownResponses, "previous_response_id");
  const knownItems = new Set(holders.flatMap(({ itemIds }) => itemIds));
  const unknownItem = items.find(({ value }) => !knownItems.has(value));
  if (unknownItem !== undefined) {
    throw noSuchObject(ObjectKind.UNSPECIFIED, unknownItem.value, "input");
  }
  const own = new Map(ownFiles.map((file) => [file.id, file]));
  const sources = new Map([...ownResponses, ...holders].map((object) => [object.id, object]));
  return {
    body: replaceStrings(
      body,
      files.map((at) => ({ at, value: own.get(at.value)?.providerId ?? "" })),
    ),
    provider: oneProvider([...ownFiles, ...ownContainers, ...sources.values()]),
    contextTokens: [...sources.values()].reduce(
      (sum, { contextTokens }) => sum + (contextTokens ?? unknownContextTokens),
      0n,
    ),
    fileIds: new Map(ownFiles.map(({ id, providerId }) => [providerId, id])),
  };
}

async function findAll(
  registry: ObjectRegistry,
  key: KeyRecord,
  kind: ObjectKind,
  named: readonly FoundString[],
): Promise<readonly OwnedObject[]> {
  return named.length === 0 ? [] : await registry.find(key, kind, unique(named));
}

function unique(named: readonly FoundString[]): readonly string[] {
  return [...new Set(named.map(({ value }) => value))];
}

function requireAll(
  kind: ObjectKind,
  named: readonly FoundString[],
  found: readonly OwnedObject[],
  param: string,
): void {
  const ids = new Set(found.map(({ id }) => id));
  const missing = named.find(({ value }) => !ids.has(value));
  if (missing !== undefined) {
    throw noSuchObject(kind, missing.value, param);
  }
}

function oneProvider(objects: readonly OwnedObject[]): string {
  const [first] = objects;
  const other = objects.find(({ provider }) => provider !== first?.provider);
  if (other !== undefined) {
    throw new CodecError("What the request refers to is kept by different providers.", { code: "invalid_value" });
  }
  return first?.provider ?? "";
}
