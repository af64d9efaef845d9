import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { test } from "node:test";
import { createAwsSigner } from "./sign-aws-request.ts";
import type { UpstreamRequest } from "./upstream.ts";

const keys = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: undefined,
};
const signedAt = Date.UTC(2026, 0, 2, 3, 4, 5);

const request: UpstreamRequest = {
  path: "/model/us.amazon.nova-2-lite-v1%3A0/converse",
  headers: ["content-type", "application/json", "accept", "application/json", "user-agent", "penstock"],
  body: Buffer.from('{"messages":[{"role":"user","content":[{"text":"Grüße 😀"}]}]}'),
};

function signingKey(scope: string): string | Buffer {
  let key: string | Buffer = `AWS4${keys.secretAccessKey}`;
  for (const step of scope.split("/")) {
    key = createHmac("sha256", key).update(step).digest();
  }
  return key;
}

/** The signature as AWS describes it, by node:crypto alone. */
function signByHand(headers: ReadonlyMap<string, string>, host: string, canonicalPath: string): string {
  const names = [...headers.keys(), "host"]
    .filter((name) => name !== "authorization" && name !== "user-agent")
    .toSorted();
  const lines = names.map((name) => `${name}:${name === "host" ? host : (headers.get(name) ?? "")}`);
  const hash = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
  const canonical = ["POST", canonicalPath, "", ...lines, "", names.join(";"), hash(request.body)].join("\n");
  const scope = "20260102/us-east-1/bedrock/aws4_request";
  const text = ["AWS4-HMAC-SHA256", "20260102T030405Z", scope, hash(canonical)].join("\n");
  const signature = createHmac("sha256", signingKey(scope)).update(text).digest("hex");
  return `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`;
}

function mapOf({ headers }: UpstreamRequest): ReadonlyMap<string, string> {
  return new Map(
    headers.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), headers[at + 1] ?? ""] as const] : [])),
  );
}

for (const [name, origin, host, sessionToken] of [
  [
    "a key pair",
    "https://bedrock-runtime.us-east-1.amazonaws.com",
    "bedrock-runtime.us-east-1.amazonaws.com",
    undefined,
  ],
  ["a key pair that expires", "http://127.0.0.1:4567", "127.0.0.1:4567", "a-session-token"],
] as const) {
  test(`signs what is sent as AWS describes it, with ${name}`, async () => {
    const sign = createAwsSigner({
      ...keys,
      sessionToken,
      origin,
      region: "us-east-1",
      service: "bedrock",
      now: () => signedAt,
    });
    const signed = await sign(request);
    const headers = mapOf(signed);
    assert.equal(signed.path, request.path);
    assert.equal(signed.body, request.body);
    assert.equal(headers.get("x-amz-security-token"), sessionToken);
    assert.equal(headers.get("x-amz-date"), "20260102T030405Z");
    assert.equal(headers.has("host"), false);
    // The path is encoded once more for the signature than for the request.
    const expected = signByHand(headers, host, "/model/us.amazon.nova-2-lite-v1%253A0/converse");
    assert.equal(headers.get("authorization"), expected);
  });
}

test("compares with a key that is derived as in AWS's published example", () => {
  assert.equal(
    signingKey("20120215/us-east-1/iam/aws4_request").toString("hex"),
    "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d",
  );
});
