import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, zstdDecompress } from "node:zlib";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { HttpRequest } from "#kit/http/create-http-server.ts";

const decoders = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
} as const;

/**
 * Reads a whole body and undoes its content encoding. Rejects with REQUEST_TOO_LARGE when it is, or becomes, larger than
 * the limit, UNSUPPORTED_MEDIA_TYPE for an unknown encoding, INVALID_REQUEST for one that is damaged.
 */
export function readBody(req: HttpRequest, maxBytes: number): Promise<Buffer> {
  const encoding = req.headers["content-encoding"];
  return encoding === undefined ? readRaw(req, maxBytes) : readEncoded(req, maxBytes, encoding.trim().toLowerCase());
}

async function readEncoded(req: HttpRequest, maxBytes: number, encoding: string): Promise<Buffer> {
  if (encoding !== "identity" && encoding !== "" && !Object.hasOwn(decoders, encoding)) {
    throw gatewayError(
      ErrorReason.UNSUPPORTED_MEDIA_TYPE,
      `The content encoding ${encoding.slice(0, 40)} is not supported.`,
    );
  }
  const raw = await readRaw(req, maxBytes);
  if (encoding === "identity" || encoding === "") {
    return raw;
  }
  try {
    // hasOwn above says that it is one of them.
    return await decoders[encoding as keyof typeof decoders](raw, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof RangeError) {
      throw tooLarge(maxBytes);
    }
    throw gatewayError(ErrorReason.INVALID_REQUEST, `The body is not valid ${encoding}.`, { cause: error });
  }
}

function readRaw(req: HttpRequest, maxBytes: number): Promise<Buffer> {
  const announced = Number(req.headers["content-length"] ?? 0);
  if (announced > maxBytes) {
    req.resume();
    return Promise.reject(tooLarge(maxBytes));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    req.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) {
        chunks.length = 0;
        reject(tooLarge(maxBytes));
        return;
      }
      chunks.push(chunk);
    });
    req.on("end", () => {
      const [only] = chunks;
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
    });
    req.on("error", (error) => reject(callerLeft(error)));
    req.on("close", () => {
      // Comes after every request; an error is made only where the body did not end.
      if (!req.readableEnded) {
        reject(callerLeft(undefined));
      }
    });
  });
}

function callerLeft(cause: unknown) {
  return gatewayError(ErrorReason.CLIENT_CLOSED, "The caller left.", { cause });
}

function tooLarge(maxBytes: number) {
  return gatewayError(ErrorReason.REQUEST_TOO_LARGE, `The body is larger than ${maxBytes} bytes.`);
}
