import type { Buffer } from "node:buffer";
import { setImmediate as nextTurn } from "node:timers/promises";
import { CodecError } from "#codec/codec.ts";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { authorizeModel } from "../pipeline/authorize-model.ts";
import { parseBody } from "../pipeline/parse-body.ts";
import { type FoundObject, findReferences, mayName } from "./find-references.ts";

/** What a line of a batch must not name: the gateway does not change what is in a file, so ids in it are nobody's. */
const references = [
  "file_id",
  "file_ids",
  "container",
  "container_id",
  "previous_response_id",
  "conversation",
  "vector_store_ids",
];
const wanted = {
  names: new Set([...references, "model", "type", "id"]),
  opaque: new Set(["metadata", "parameters", "schema", "input_schema", "annotations"]),
};
const lineFeed = 0x0a;
/** So many bytes are looked at before other requests have their turn. */
const turnBytes = 1024 * 1024;

/**
 * Looks through the requests of a batch: their models must be the key's to use, and they must not refer to what the
 * provider keeps. Rejects with CodecError or MODEL_NOT_ALLOWED, which name the line.
 */
export async function checkBatchFile(file: Buffer, key: KeyRecord): Promise<void> {
  if (key.allowedModels.length === 0 && !mayName(file, [...references, "item_reference", '"id"'])) {
    return;
  }
  let turn = 0;
  let number = 1;
  for (let start = 0; start < file.length; number += 1) {
    const found = file.indexOf(lineFeed, start);
    const end = found === -1 ? file.length : found;
    checkLine(file.subarray(start, end), number, key);
    turn += end - start;
    if (turn > turnBytes) {
      turn = 0;
      await nextTurn();
    }
    start = end + 1;
  }
}

function checkLine(line: Buffer, number: number, key: KeyRecord): void {
  if (line.length === 0 || /^\s*$/.test(line.toString("latin1", 0, 64))) {
    return;
  }
  try {
    parseBody(line);
  } catch (error) {
    throw new CodecError(`Line ${number} of the batch is not a JSON object.`, {
      code: "invalid_json_line",
      param: "file",
      cause: error,
    });
  }
  const found = findReferences(line, wanted);
  const named = references.find((name) => found.some(({ members }) => members.has(name)));
  if (named !== undefined || found.some(isItemReference)) {
    throw new CodecError(
      `Line ${number} of the batch names ${named ?? "an item"}: requests of batches cannot refer to what a provider keeps.`,
      {
        code: "unsupported_parameter",
        param: "file",
      },
    );
  }
  const models = found
    .filter(({ holder, depth }) => holder === "body" && depth === 1)
    .flatMap(({ members }) => members.get("model") ?? []);
  if (models.length === 0 && key.allowedModels.length > 0) {
    throw new CodecError(`Line ${number} of the batch names no model.`, { code: "invalid_value", param: "file" });
  }
  for (const { value } of models) {
    authorizeModel(key, value);
  }
}

/** An item that has an id may stand for one that is stored, whatever else it has. */
function isItemReference({ holder, members }: FoundObject): boolean {
  return members.get("type")?.[0]?.value === "item_reference" || (holder === "input" && members.has("id"));
}
