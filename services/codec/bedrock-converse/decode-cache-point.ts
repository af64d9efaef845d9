import { create } from "@bufbuild/protobuf";
import { type CacheControl, CacheControlSchema } from "#gen/penstock/chat/v1/chat_pb.ts";
import type { JsonObject } from "../codec.ts";
import { readObject, readString } from "../json/json-fields.ts";

/** The mark in a block that is one; undefined for other blocks. */
export function decodeCachePoint(block: JsonObject, path: string): CacheControl | undefined {
  const point = readObject(block, "cachePoint", path);
  return point === undefined
    ? undefined
    : create(CacheControlSchema, { ttl: readString(point, "ttl", `${path}.cachePoint`) ?? "" });
}
