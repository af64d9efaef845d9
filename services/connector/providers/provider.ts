import type { ChatCodec, EmbedCodec } from "#codec/codec.ts";
import type { CountTokensCodec } from "#codec/count-tokens/count-tokens-codec.ts";
import type { RerankForm } from "#codec/rerank/rerank-codec.ts";
import type { Operation } from "#gen/penstock/type/v1/dialect_pb.ts";
import type { Upstream, UpstreamRequest } from "../upstream/upstream.ts";
import type { BodyEdits } from "../request/edit-body.ts";

/** What a request to a provider is about. */
export interface ProviderCall {
  readonly operation: Operation;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly stream: boolean;
  /** Whether one text is to be embedded, by Gemini's callers' form for one. */
  readonly single?: boolean;
  /** Header fields of the caller's own dialect that are meant for the provider, names in lower case. */
  readonly dialectHeaders?: Readonly<Record<string, string>>;
}

/** The paths of operations that are forwarded as they came. */
export type ForwardedOperations = Readonly<Partial<Record<Operation, string>>>;

/** A kind of provider: what is alike for all accounts at it. Small, and the same shape for each. */
export interface ProviderKind {
  readonly chat: ChatCodec;
  /** Absent where the provider has no embeddings. */
  readonly embed?: EmbedCodec;
  /** How the provider counts tokens. Absent where it cannot, so that the gateway estimates. */
  readonly countTokens?: CountTokensCodec;
  /**
   * Where the provider has the operations that are forwarded as they came, in the dialect of `chat`: the paths below its
   * base URL. Those that are not named it does not have.
   */
  readonly operations?: ForwardedOperations;
  /** How the provider orders documents. Absent where it does not. */
  readonly rerank?: RerankForm;
  /** Other dialects in which the provider chats, for callers who speak them; all others are translated to the first. */
  readonly alsoSpeaks?: readonly ProviderKind[];
  /** The kind that answers for a model, where an account has models of several makers. Absent: this one for all. */
  forModel?(model: string): ProviderKind;
  /** The content type of its streams. Absent: server-sent events. */
  readonly streamContentType?: string;
  /** Whether streams end with a marker after which nothing follows. */
  readonly hasFinalMarker: boolean;
  /** The base URL of the provider's API, without a slash at its end. */
  readonly defaultBaseUrl: string;
  /** The path below the base URL. */
  path(call: ProviderCall): string;
  /** The credential and what else the API wants as header fields, names and values in turn. */
  headers(apiKey: string | undefined): readonly string[];
  /**
   * The members to set in a body that is forwarded in the provider's own dialect, beside the output limit: the model,
   * and whatever makes the provider report usage.
   */
  forwardEdits(call: ProviderCall, body: Uint8Array): { readonly edits: BodyEdits; readonly stripUsage: boolean };
  /** The member of a forwarded body that limits output, and its text for a number of tokens. */
  outputLimitEdit(tokens: bigint, body: Uint8Array): readonly [string, string];
}

/** One configured account at a provider. */
export interface Provider {
  readonly name: string;
  readonly kind: ProviderKind;
  readonly upstream: Upstream;
  /** The path of the base URL, in front of the kind's path. */
  readonly basePath: string;
  /** Chooses one of the account's keys; undefined when it needs none. */
  readonly chooseKey: () => string | undefined;
  /**
   * Adds a credential that has to be worked out for each request: a signature, or a token that expires. Absent where
   * the kind's header fields are enough. Rejects with AuthorizeError.
   */
  readonly authorize?: (request: UpstreamRequest) => Promise<UpstreamRequest>;
  /** Texts that must never reach a caller, should the provider repeat them: the keys. */
  readonly secrets: readonly string[];
}
