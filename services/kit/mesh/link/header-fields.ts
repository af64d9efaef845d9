import type { HeaderField } from "#gen/penstock/mesh/v1/link_service_pb.ts";

/** Header fields as they cross a link. */
export function fieldsOf(headers: Headers): HeaderField[] {
  return Array.from(headers, ([name, value]) => ({ $typeName: "penstock.mesh.v1.HeaderField", name, value }));
}

/** Header fields that crossed a link. Throws TypeError for what is no header field. */
export function headersOf(fields: readonly HeaderField[]): Headers {
  const headers = new Headers();
  for (const { name, value } of fields) {
    headers.append(name, value);
  }
  return headers;
}
