/** One HTTP request to a provider. */
export interface UpstreamRequest {
  /** POST when absent. */
  readonly method?: "GET" | "POST" | "DELETE";
  /** The path with its query, from the provider's origin on. */
  readonly path: string;
  /** Names and values in turn, built from nothing: no header of a caller is ever among them. */
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

/** Header fields of an answer, names in lower case. */
export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Takes an answer as it comes. Exactly one of `onEnd` and `onError` ends it; nothing comes after an abort. */
export interface UpstreamHandler {
  /** A connection is there and the request is being written: from here on the provider may bill. */
  onSent(): void;
  onHead(status: number, headers: UpstreamHeaders): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  /** `sent` says whether any of the request may have reached the provider. */
  onError(error: Error, sent: boolean): void;
}

/** An answer that is under way. */
export interface UpstreamCall {
  /** Closes the socket at once. Harmless when the answer has ended. */
  abort(): void;
  pause(): void;
  resume(): void;
}

/** Something that answers HTTP requests. */
export interface Upstream {
  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
  /** Resolves when all connections are closed; running answers are cut. */
  close(): Promise<void>;
}
