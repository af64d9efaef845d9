import { create, type DescMessage, isMessage, type MessageShape } from "@bufbuild/protobuf";

/** A message of any type. */
export type AnyMessage = MessageShape<DescMessage>;

/** The message that a caller or handler gave: itself, or made of its initialiser. */
export function messageOf(schema: DescMessage, value: unknown): AnyMessage {
  // A value that is no message yet is an initialiser of it: the types of Client and ServiceImpl allow nothing else.
  return typeof value === "object" && value !== null && "$typeName" in value && value.$typeName === schema.typeName
    ? (value as AnyMessage)
    : isMessage(value, schema)
      ? value
      : create(schema, value as never);
}
