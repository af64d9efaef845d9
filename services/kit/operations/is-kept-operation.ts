import { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";

const keptOperations: ReadonlySet<Operation> = new Set([
  Operation.CREATE_FILE,
  Operation.GET_FILE,
  Operation.GET_FILE_CONTENT,
  Operation.DELETE_FILE,
  Operation.CREATE_BATCH,
  Operation.GET_BATCH,
  Operation.CANCEL_BATCH,
  Operation.GET_RESPONSE,
  Operation.DELETE_RESPONSE,
  Operation.CANCEL_RESPONSE,
  Operation.LIST_RESPONSE_INPUT,
]);

/** Whether an operation is about something that a provider keeps: it names that thing, and no model. */
export function isKeptOperation(operation: Operation): boolean {
  return keptOperations.has(operation);
}
