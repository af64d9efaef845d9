import { Buffer } from "node:buffer";
import type { EncodedRequest } from "#codec/codec.ts";
import type { Provider, ProviderCall, ProviderKind } from "../providers/provider.ts";
import type { UpstreamRequest } from "../upstream/upstream.ts";

/** What a request to a provider has beside its body, where it is not the usual. */
export interface UpstreamRequestOptions {
  /** Header fields of the caller's dialect, names in lower case. */
  readonly dialectHeaders?: Readonly<Record<string, string>>;
  /** The media type of the body; JSON when absent. */
  readonly contentType?: string;
  /** The media types that are taken as an answer; JSON, or the provider's streams, when absent. */
  readonly accept?: string;
}

/** Makes the HTTP request of a call. None of the caller's header fields is in it but those of its dialect. */
export function upstreamRequest(
  provider: Provider,
  call: ProviderCall,
  body: Uint8Array,
  options: UpstreamRequestOptions = {},
): UpstreamRequest {
  const { dialectHeaders, contentType = "application/json" } = options;
  return {
    path: provider.basePath + provider.kind.path(call),
    headers: [
      "content-type",
      contentType,
      "accept",
      options.accept ?? (call.stream ? streamTypeOf(provider.kind) : "application/json"),
      // A compressed stream cannot be cut at the borders of events as it arrives.
      "accept-encoding",
      "identity",
      "user-agent",
      "penstock",
      ...provider.kind.headers(provider.chooseKey()),
      ...(dialectHeaders === undefined ? [] : Object.entries(dialectHeaders).flat()),
    ],
    body,
  };
}

/** The bytes of a request that was encoded. */
export function bytesOf(encoded: Pick<EncodedRequest, "body">): Uint8Array {
  return Buffer.from(JSON.stringify(encoded.body));
}

/** The content type of a kind's streams. */
export function streamTypeOf(kind: ProviderKind): string {
  return kind.streamContentType ?? "text/event-stream";
}

/** Some servers leave the content type out or call JSON text; what is no JSON is found out by reading it. */
export function isJson(contentType: string): boolean {
  return contentType === "" || contentType.includes("json") || contentType.startsWith("text/plain");
}
