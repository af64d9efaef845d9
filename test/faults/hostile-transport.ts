import { Buffer } from "node:buffer";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { goodBody, type HostileCase, rawRequest } from "./hostile-case.ts";

/** The largest body that the gateway under test takes. */
export const maxBodyBytes = 4 * 1024 * 1024;

const badType = { status: 415, code: "unsupported_media_type" } as const;
const tooLarge = { status: 413, code: "request_too_large" } as const;
const badHttp = { status: 400, intact: "connection" } as const;
const badJson = { status: 400, code: "invalid_json" } as const;
const bomb = Buffer.alloc(64 * 1024 * 1024, 0x20);

function ofType(contentType: string | null, body: string | Uint8Array = goodBody): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, contentType, body });
}

function encoded(encoding: string, body: string | Uint8Array): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, headers: [`content-encoding: ${encoding}`], body });
}

function sized(length: string, body = goodBody): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, length, body });
}

/** `line` stands in place of `content-length`. */
function framed(lines: readonly string[], body: string): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, length: null, headers: lines, body });
}

function withHeader(line: string): HostileCase["send"] {
  return (keys) => rawRequest({ key: keys.good, headers: [line], body: goodBody });
}

/** What the body says it is, and is not. */
const bodyCases: readonly HostileCase[] = [
  { name: "a body without a content type", send: ofType(null), expect: badType },
  { name: "a body of plain text", send: ofType("text/plain"), expect: badType },
  { name: "a body of XML", send: ofType("application/xml"), expect: badType },
  { name: "a form", send: ofType("multipart/form-data; boundary=x"), expect: badType },
  {
    name: "a body in UTF-16",
    send: ofType("application/json; charset=utf-16", Buffer.from(goodBody, "utf16le")),
    expect: badType,
  },
  {
    name: "a body in UTF-16 that does not say so",
    send: ofType("application/json", Buffer.from(goodBody, "utf16le")),
    expect: badJson,
  },
  { name: "a byte order mark", send: ofType("application/json", `\ufeff${goodBody}`), expect: badJson },
  { name: "a bomb in gzip", send: encoded("gzip", gzipSync(bomb)), expect: tooLarge },
  { name: "a bomb in zstd", send: encoded("zstd", zstdCompressSync(bomb)), expect: tooLarge },
  { name: "a bomb in brotli", send: encoded("br", brotliCompressSync(bomb.subarray(0, 16_000_000))), expect: tooLarge },
  { name: "an unknown content encoding", send: encoded("aes128gcm", goodBody), expect: badType },
  {
    name: "content encodings one in another",
    send: encoded("gzip, gzip", gzipSync(gzipSync(goodBody))),
    expect: badType,
  },
  { name: "a body that is not the gzip it says", send: encoded("gzip", goodBody), expect: { status: 400 } },
  { name: "half a body in gzip", send: encoded("gzip", gzipSync(goodBody).subarray(0, 40)), expect: { status: 400 } },
  { name: "a body that is announced too large", send: sized(String(maxBodyBytes + 1)), expect: tooLarge },
  {
    name: "a body that becomes too large",
    send: framed(
      ["transfer-encoding: chunked"],
      `${(maxBodyBytes + 1).toString(16)}\r\n${" ".repeat(maxBodyBytes + 1)}\r\n0\r\n\r\n`,
    ),
    expect: tooLarge,
  },
];

/** How long the body says it is, and is not. */
const lengthCases: readonly HostileCase[] = [
  { name: "a negative content length", send: sized("-1"), expect: badHttp },
  { name: "a content length with a sign", send: sized(`+${goodBody.length}`), expect: badHttp },
  { name: "a content length in hexadecimal", send: sized("0x10"), expect: badHttp },
  { name: "a content length beyond all numbers", send: sized("99999999999999999999999"), expect: badHttp },
  { name: "an empty content length", send: sized(""), expect: badHttp },
  {
    name: "two content lengths that differ",
    send: framed([`content-length: ${goodBody.length}`, "content-length: 5"], goodBody),
    expect: badHttp,
  },
  {
    name: "a content length and chunks",
    send: framed([`content-length: ${goodBody.length}`, "transfer-encoding: chunked"], "0\r\n\r\n"),
    expect: badHttp,
  },
  {
    name: "chunks that are not the last encoding",
    send: framed(["transfer-encoding: chunked, identity"], "0\r\n\r\n"),
    expect: badHttp,
  },
  {
    name: "a space before the colon of the transfer encoding",
    send: framed(["transfer-encoding : chunked"], "0\r\n\r\n"),
    expect: badHttp,
  },
  {
    name: "a chunk size that is no number",
    send: framed(["transfer-encoding: chunked"], "zz\r\n{}\r\n0\r\n\r\n"),
    expect: badHttp,
  },
  {
    name: "a chunk of 2^64 bytes",
    send: framed(["transfer-encoding: chunked"], "10000000000000000\r\n{}"),
    expect: badHttp,
  },
  {
    name: "a chunk extension without an end",
    send: framed(["transfer-encoding: chunked"], `2;${"x".repeat(64 * 1024)}`),
    expect: badHttp,
  },
  {
    name: "a content length that is smaller than the body",
    send: sized("10"),
    // What is left of the body is taken for a next request, and is none.
    expect: badHttp,
  },
  {
    name: "a body that ends before its content length",
    send: sized("1000"),
    halfClose: true,
    expect: badHttp,
  },
  {
    name: "a key in the trailers",
    send: (keys) =>
      rawRequest({
        length: null,
        headers: ["transfer-encoding: chunked", "trailer: authorization"],
        body: `${goodBody.length.toString(16)}\r\n${goodBody}\r\n0\r\nauthorization: Bearer ${keys.good}\r\n\r\n`,
      }),
    expect: { status: 401, code: "invalid_api_key" },
  },
];

/** Heads that are none. */
const headCases: readonly HostileCase[] = [
  {
    name: "a header field of 20 KB",
    send: withHeader(`x-large: ${"x".repeat(20 * 1024)}`),
    expect: { status: 431, intact: "connection" },
  },
  {
    name: "three thousand header fields",
    send: (keys) =>
      rawRequest({ key: keys.good, headers: Array.from({ length: 3_000 }, (_, index) => `x-${index}: 1`) }),
    expect: { status: 431, intact: "connection" },
  },
  { name: "a NUL in a header field", send: withHeader("x-odd: a\0b"), expect: badHttp },
  { name: "a folded header field", send: withHeader("x-odd: a\r\n b"), expect: badHttp },
  { name: "a header field whose name has a space", send: withHeader("x odd: a"), expect: badHttp },
  { name: "a header field without a name", send: withHeader(": a"), expect: badHttp },
  { name: "a carriage return in a header field", send: withHeader("x-odd: a\rb: c"), expect: badHttp },
  { name: "a request line that is none", send: () => ["hello gateway\r\n\r\n"], expect: badHttp },
  { name: "the greeting of TLS", send: () => [Buffer.from("1603010200010001fc0303", "hex")], expect: badHttp },
  { name: "a version of HTTP that does not exist", send: () => ["GET / HTTP/9.9\r\nhost: a\r\n\r\n"], expect: badHttp },
  {
    name: "a request without a host",
    send: () => ["GET /v1/models HTTP/1.1\r\n\r\n"],
    expect: { status: 400, intact: "head" },
  },
  {
    name: "a word for the cache that does not exist",
    send: withHeader("x-penstock-cache: sometimes"),
    expect: { status: 400, param: "x-penstock-cache" },
  },
  {
    name: "a negative timeout",
    send: withHeader("x-penstock-timeout-ms: -1"),
    expect: { status: 400, param: "x-penstock-timeout-ms" },
  },
  {
    name: "tags that are no list",
    send: withHeader("x-penstock-tags: =;drop table"),
    expect: { status: 400, param: "x-penstock-tags" },
  },
  {
    name: "more tags than there may be",
    send: withHeader(`x-penstock-tags: ${Array.from({ length: 17 }, (_, index) => `t${index}=1`).join(",")}`),
    expect: { status: 400, param: "x-penstock-tags" },
  },
];

/** What is wrong with the bytes on the wire. */
export const transportCases: readonly HostileCase[] = [...bodyCases, ...lengthCases, ...headCases];
