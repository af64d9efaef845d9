import { goodBody, type HostileCase, rawRequest } from "./hostile-case.ts";

const badKey = { status: 401, code: "invalid_api_key" } as const;

/** Who calls, and may not. */
export const authenticationCases: readonly HostileCase[] = [
  { name: "a request without a key", send: () => rawRequest({ body: goodBody }), expect: badKey },
  {
    name: "a key that does not exist",
    send: () => rawRequest({ key: "sk-pen-000000000000-nobodynobodynobody", body: goodBody }),
    expect: badKey,
  },
  { name: "a revoked key", send: (keys) => rawRequest({ key: keys.revoked, body: goodBody }), expect: badKey },
  {
    name: "a valid key with one character more",
    send: (keys) => rawRequest({ key: `${keys.good}a`, body: goodBody }),
    expect: badKey,
  },
  {
    name: "a valid key with one character less",
    send: (keys) => rawRequest({ key: keys.good.slice(0, -1), body: goodBody }),
    expect: badKey,
  },
  {
    name: "the public part of one key with the secret of another",
    send: (keys) => {
      const [, , publicPart] = keys.good.split("-");
      const secret = keys.other.split("-").slice(3).join("-");
      return rawRequest({ key: `sk-pen-${publicPart}-${secret}`, body: goodBody });
    },
    expect: badKey,
  },
  {
    name: "two valid keys that differ",
    send: (keys) => rawRequest({ key: keys.good, headers: [`x-api-key: ${keys.other}`], body: goodBody }),
    expect: badKey,
  },
  {
    name: "a wrong key beside a valid one in another header",
    send: (keys) => rawRequest({ headers: [`api-key: ${keys.good}`, "x-goog-api-key: wrong"], body: goodBody }),
    expect: badKey,
  },
  {
    name: "a second Authorization header that is valid where the first is not",
    send: (keys) =>
      rawRequest({ key: "wrong-wrong-wrong", headers: [`authorization: Bearer ${keys.good}`], body: goodBody }),
    expect: badKey,
  },
  {
    name: "a valid key as the password of Basic authentication",
    send: (keys) => rawRequest({ headers: [`authorization: Basic ${btoa(`user:${keys.good}`)}`], body: goodBody }),
    expect: badKey,
  },
  {
    name: "a valid key in the query",
    send: (keys) => rawRequest({ path: `/v1/chat/completions?key=${keys.good}&api_key=${keys.good}`, body: goodBody }),
    expect: badKey,
  },
  {
    name: "a valid key in the body",
    send: (keys) => rawRequest({ body: JSON.stringify({ ...JSON.parse(goodBody), api_key: keys.good }) }),
    expect: badKey,
  },
  {
    name: "a key of ten thousand characters",
    send: () => rawRequest({ key: "sk-pen-".padEnd(10_000, "x"), body: goodBody }),
    expect: badKey,
  },
  {
    name: "an Authorization header without a key",
    send: () => rawRequest({ headers: ["authorization: Bearer "], body: goodBody }),
    expect: badKey,
  },
  {
    name: "an admin key that calls a model",
    send: (keys) => rawRequest({ key: keys.admin, body: goodBody }),
    expect: { status: 403, code: "permission_denied" },
  },
  {
    name: "a model that the key may not use",
    send: (keys) => rawRequest({ key: keys.narrow, body: goodBody }),
    expect: { status: 403, code: "model_not_found", param: "model" },
  },
  {
    name: "a request that the budget does not cover",
    send: (keys) => rawRequest({ key: keys.poor, body: goodBody }),
    expect: { status: 429, type: "insufficient_quota", code: "insufficient_quota" },
  },
  {
    name: "an admin call with a virtual key",
    send: (keys) => rawRequest({ path: "/penstock.admin.v1.KeyService/ListKeys", key: keys.good, body: "{}" }),
    expect: { status: 403, intact: "connect" },
  },
  {
    name: "an admin call without a key",
    send: () => rawRequest({ path: "/penstock.admin.v1.KeyService/CreateKey", body: "{}" }),
    expect: { status: 401, intact: "connect" },
  },
];

const unknown = { status: 404, code: "unknown_url" } as const;

function atPath(path: string): HostileCase["send"] {
  return (keys) => rawRequest({ path, key: keys.good, body: goodBody });
}

/** Where to, and how. */
export const pathCases: readonly HostileCase[] = [
  { name: "an unknown path", send: atPath("/v1/nope"), expect: unknown },
  { name: "an endpoint that is not there", send: atPath("/v1/assistants"), expect: unknown },
  { name: "the root", send: atPath("/"), expect: unknown },
  { name: "a path that climbs", send: atPath("/v1/../admin"), expect: unknown },
  { name: "a path that climbs in percent signs", send: atPath("/v1/%2e%2e/chat/completions"), expect: unknown },
  { name: "a path with an overlong dot", send: atPath("/v1/%c0%ae%c0%ae/chat/completions"), expect: unknown },
  { name: "a path with two slashes at its begin", send: atPath("//v1/chat/completions"), expect: unknown },
  { name: "a path with two slashes inside", send: atPath("/v1//chat/completions"), expect: unknown },
  { name: "a path in upper case", send: atPath("/V1/chat/completions"), expect: unknown },
  { name: "a path with a slash at its end", send: atPath("/v1/chat/completions/"), expect: unknown },
  { name: "a path with a parameter", send: atPath("/v1/chat/completions;x=1"), expect: unknown },
  { name: "a path with a NUL", send: atPath("/v1/chat/completions%00"), expect: unknown },
  { name: "a path of another host", send: atPath("http://169.254.169.254/v1/chat/completions"), expect: unknown },
  {
    name: "GET for chat completions",
    send: (keys) => rawRequest({ method: "GET", key: keys.good, contentType: null, length: null }),
    expect: { status: 405, headers: { allow: "POST" } },
  },
  {
    name: "POST for models",
    send: (keys) => rawRequest({ path: "/v1/models", key: keys.good, body: "{}" }),
    expect: { status: 405, headers: { allow: "GET" } },
  },
  {
    name: "DELETE of a model",
    send: (keys) => rawRequest({ method: "DELETE", path: "/v1/models/plain", key: keys.good, length: null }),
    expect: { status: 405, headers: { allow: "GET, POST" } },
  },
  {
    name: "TRACE",
    send: (keys) => rawRequest({ method: "TRACE", key: keys.good, contentType: null, length: null }),
    expect: { status: 405, headers: { allow: "POST" } },
  },
  {
    name: "a model's name that is no percent-encoding",
    send: (keys) => rawRequest({ method: "GET", path: "/v1/models/%ff%zz", key: keys.good, length: null }),
    expect: { status: 404, code: "model_not_found" },
  },
];
