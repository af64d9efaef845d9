import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import type { UpstreamRequest } from "./upstream.ts";

/** Whose signature, and for what. */
export interface AwsSigningOptions {
  /** The scheme, host and port that requests go to. */
  readonly origin: string;
  readonly region: string;
  readonly service: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Set for credentials that expire. */
  readonly sessionToken: string | undefined;
  /** Unix milliseconds. */
  readonly now: () => number;
}

/**
 * Creates what signs requests by AWS's Signature Version 4: the very path, header fields and bytes that are sent. The
 * path stands in the signature percent-encoded once more, as every service but S3 wants it.
 */
export function createAwsSigner(options: AwsSigningOptions): (request: UpstreamRequest) => Promise<UpstreamRequest> {
  const { protocol, host, hostname, port } = new URL(options.origin);
  const { accessKeyId, secretAccessKey, sessionToken } = options;
  const signer = new SignatureV4({
    service: options.service,
    region: options.region,
    credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    sha256: Sha256,
  });
  return async (request) => {
    const signed = await signer.sign(
      {
        method: "POST",
        protocol,
        hostname,
        ...(port === "" ? {} : { port: Number(port) }),
        path: request.path,
        headers: { ...pairsOf(request.headers), host },
        body: request.body,
      },
      { signingDate: new Date(options.now()) },
    );
    // The connection writes the host itself, and writes the same.
    const { host: _host, ...headers } = signed.headers;
    return { ...request, headers: Object.entries(headers).flat() };
  };
}

function pairsOf(headers: readonly string[]): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (let at = 0; at + 1 < headers.length; at += 2) {
    pairs[headers[at] ?? ""] = headers[at + 1] ?? "";
  }
  return pairs;
}

/** Node's own hash in the shape that the signer asks for; with a secret, a keyed one. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret));
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  /** Asked for by the signer's type and never called: each signature makes hashes of its own. */
  reset(): void {
    throw new Error("a hash is used once");
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof data === "string") {
    return Buffer.from(data, "utf8");
  }
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
