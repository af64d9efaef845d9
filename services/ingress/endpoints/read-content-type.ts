import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";

/** What bodies are made of. */
export type BodyType = "application/json" | "multipart/form-data";

/**
 * The content type of a multipart body as it was sent; empty for JSON, which needs no more to be read. Throws
 * UNSUPPORTED_MEDIA_TYPE, which names what is taken, for anything else.
 */
export function readContentType(contentType: string, taken: readonly BodyType[]): string {
  if (contentType === "application/json" && taken.includes("application/json")) {
    return "";
  }
  if (isJson.test(contentType) && !otherCharset.test(contentType) && taken.includes("application/json")) {
    return "";
  }
  if (isMultipart.test(contentType) && taken.includes("multipart/form-data")) {
    return contentType;
  }
  const wanted = taken.map((type) => (type === "application/json" ? `${type} in UTF-8` : type)).join(" or ");
  throw gatewayError(
    ErrorReason.UNSUPPORTED_MEDIA_TYPE,
    `Unsupported content type: ${JSON.stringify(contentType.slice(0, 100))}. Send ${wanted}.`,
  );
}

const isJson = /^application\/(?:[a-z0-9.+-]+\+)?json\s*(?:;|$)/i;
const otherCharset = /charset=(?!"?utf-?8)/i;
const isMultipart = /^multipart\/form-data\s*;/i;
