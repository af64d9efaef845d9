import type { Json, JsonObject } from "#codec/codec.ts";
import { ObjectKind, type OwnedObject, type Owner } from "#gen/penstock/owned/v1/owned_object_service_pb.ts";
import { newObjectId, type ObjectRegistry } from "./object-registry.ts";

/** The members of a batch that name files. */
const fileMembers = ["input_file_id", "output_file_id", "error_file_id"] as const;

/** Batches in these states change no more. */
const over: ReadonlySet<Json | undefined> = new Set(["completed", "failed", "expired", "cancelled"]);

/** Whether a batch changes no more, and so has told what it used. */
export function isOver(batch: JsonObject): boolean {
  return over.has(batch["status"]);
}

/**
 * A batch as its owner sees it: with the gateway's ids, also of the files that its provider made of it, which belong to
 * whoever owns the batch.
 */
export async function showBatch(
  batch: JsonObject,
  { id, provider, owner }: { readonly id: string; readonly provider: string; readonly owner: Owner },
  registry: ObjectRegistry,
): Promise<JsonObject> {
  const named = fileMembers.flatMap((member) => {
    const providerId = batch[member];
    return typeof providerId === "string" && providerId !== "" ? [{ member, providerId }] : [];
  });
  const known = await registry.put(
    named.map(({ member, providerId }) => {
      const fileId = newObjectId("file-");
      const purpose = member === "input_file_id" ? "" : "batch_output";
      return {
        id: fileId,
        kind: ObjectKind.FILE,
        owner,
        provider,
        providerId,
        purpose,
      };
    }),
  );
  const undescribed = known.filter(({ descriptionJson }) => descriptionJson === "");
  if (undescribed.length > 0) {
    await registry.put(
      undescribed.map((file) => ({ ...newObjectOf(file, owner), descriptionJson: describe(file, batch) })),
    );
  }
  const callersIds = new Map(known.map((file) => [file.providerId, file.id]));
  return {
    ...batch,
    id,
    ...Object.fromEntries(named.map(({ member, providerId }) => [member, callersIds.get(providerId) ?? null])),
  };
}

function newObjectOf({ id, kind, provider, providerId }: OwnedObject, owner: Owner) {
  return { id, kind, provider, providerId, owner };
}

/** What a listing tells of a file that a provider made: how large it is, is known once it is asked for. */
function describe({ id, purpose }: OwnedObject, batch: JsonObject): string {
  return JSON.stringify({
    id,
    object: "file",
    bytes: 0,
    created_at: batch["completed_at"] ?? batch["created_at"] ?? 0,
    filename: `${id}.jsonl`,
    purpose,
    status: "processed",
  });
}
