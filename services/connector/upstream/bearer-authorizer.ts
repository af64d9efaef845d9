import type { UpstreamRequest } from "./upstream.ts";

/** Creates what adds a bearer token to requests. Rejects as `tokenOf` does. */
export function createBearerAuthorizer(
  tokenOf: () => Promise<string>,
): (request: UpstreamRequest) => Promise<UpstreamRequest> {
  return async (request) => ({
    ...request,
    headers: [...request.headers, "authorization", `Bearer ${await tokenOf()}`],
  });
}
