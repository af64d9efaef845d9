import type { DescEnum } from "@bufbuild/protobuf";

/** The name of a value without the prefix of its enumeration, such as `SUCCEEDED`; of one that is not known, its number. */
export function enumName(schema: DescEnum, value: number): string {
  return schema.value[value]?.localName ?? String(value);
}
