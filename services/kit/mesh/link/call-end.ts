import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type End, EndSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { fieldsOf, headersOf } from "./header-fields.ts";

/** How a call ended, as its caller is told. */
export interface CallEnd {
  readonly error: ConnectError | undefined;
  /** Undefined when there is none. */
  readonly trailer: Headers | undefined;
}

const wellEnded = new Uint8Array(0);
const typeUrlPrefix = "type.googleapis.com/";

/** Writes the end of a call. `trailer` is what the handler set, if anything. */
export function writeEnd(error: ConnectError | undefined, trailer: Headers | undefined): Uint8Array {
  if (error === undefined && trailer === undefined) {
    return wellEnded;
  }
  const end: End = {
    $typeName: "penstock.mesh.v1.End",
    code: error?.code ?? 0,
    message: error?.rawMessage ?? "",
    details: error?.details.map(writeDetail) ?? [],
    trailer: [
      ...(error === undefined ? [] : fieldsOf(error.metadata)),
      ...(trailer === undefined ? [] : fieldsOf(trailer)),
    ],
  };
  return toBinary(EndSchema, end);
}

/** Reads the end of a call. Throws for what is none. */
export function readEnd(content: Uint8Array): CallEnd {
  if (content.length === 0) {
    return { error: undefined, trailer: undefined };
  }
  const { code, message, details, trailer } = fromBinary(EndSchema, content);
  const headers = headersOf(trailer);
  if (code === 0) {
    return { error: undefined, trailer: headers };
  }
  const error = new ConnectError(message, codes.has(code) ? code : Code.Unknown, headers);
  // As Connect's own clients leave details: serialized, until somebody asks for one of a type.
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return { error, trailer: headers };
}

/** The numbers of Connect's codes. */
const codes: ReadonlySet<number> = new Set(Object.values(Code).filter((code) => typeof code === "number"));

function writeDetail(detail: ConnectError["details"][number]): Any {
  return "desc" in detail
    ? anyPack(detail.desc, create(detail.desc, detail.value))
    : { $typeName: "google.protobuf.Any", typeUrl: typeUrlPrefix + detail.type, value: detail.value };
}
