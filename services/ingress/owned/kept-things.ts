import type { Buffer } from "node:buffer";
import type { KeyRecord } from "#gen/penstock/quota/v1/quota_service_pb.ts";
import { Dialect } from "#gen/penstock/type/v1/dialect_pb.ts";
import { ErrorReason } from "#gen/penstock/type/v1/error_pb.ts";
import { gatewayError } from "#kit/errors/gateway-error.ts";
import type { Inspection, ReplySink } from "../pipeline/gateway-call.ts";
import { requestError } from "../pipeline/request-error.ts";
import { KeptReply } from "./kept-reply.ts";
import type { ObjectRegistry } from "./object-registry.ts";
import { readReferences, type References, resolveReferences } from "./resolve-references.ts";

/** A request to a model, before it is known what it refers to. */
export interface KeptRequest {
  readonly body: Buffer;
  /** Empty for JSON: only that can refer to anything. */
  readonly contentType: string;
  readonly dialect: Dialect;
  readonly inspection: Inspection;
  readonly key: KeyRecord;
}

/** A request that refers to nothing but what is its key's to use. */
export interface PreparedKept {
  /** With the provider's ids in place of the gateway's. */
  readonly body: Buffer;
  readonly inspection: Inspection;
  /** The only provider that may answer; empty when any may. */
  readonly provider: string;
  /** The sink that remembers what is kept of the answer. */
  wrap(sink: ReplySink): ReplySink;
}

/** What requests refer to at providers, and what answers leave there. */
export interface KeptThings {
  /** Throws or rejects with NOT_FOUND for what is not the key's to use. A promise only where something is named. */
  prepare(request: KeptRequest): PreparedKept | Promise<PreparedKept>;
}

/** What it needs. */
export interface KeptThingsDeps {
  readonly registry: ObjectRegistry;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Told when it could not be remembered what a provider keeps. */
  readonly onLost: (error: unknown) => void;
}

/** The dialects whose answers can leave something at a provider that later requests name. */
const leaving: ReadonlySet<Dialect> = new Set([Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC_MESSAGES]);
const noFileIds: ReadonlyMap<string, string> = new Map();

/** Makes the keeper of references. */
export function createKeptThings(deps: KeptThingsDeps): KeptThings {
  const wrapFor = (
    { dialect, key, inspection }: KeptRequest,
    fileIds: ReadonlyMap<string, string>,
    pinned: boolean,
  ): PreparedKept["wrap"] =>
    leaving.has(dialect) || pinned
      ? (sink) =>
          new KeptReply(sink, { ...deps, dialect, key, fileIds, pinned, background: inspection.background === true })
      : (sink) => sink;

  async function resolve(request: KeptRequest, references: References): Promise<PreparedKept> {
    const { body, key, inspection } = request;
    try {
      const resolved = await resolveReferences(body, references, key, deps.registry);
      return {
        body: resolved.body,
        inspection: { ...inspection, inputTokenBound: inspection.inputTokenBound + resolved.contextTokens },
        provider: resolved.provider,
        wrap: wrapFor(request, resolved.fileIds, true),
      };
    } catch (error) {
      throw requestError(error);
    }
  }

  return {
    prepare(request) {
      const { body, contentType, dialect, inspection, key } = request;
      if (inspection.background === true && (key.hasBudget || key.mayHaveBudget)) {
        // Nobody would hold what it costs until its end.
        throw gatewayError(
          ErrorReason.PERMISSION_DENIED,
          "Responses cannot be made in the background where a budget applies.",
          { metadata: { param: "background" } },
        );
      }
      let references: References | undefined;
      try {
        references = contentType === "" ? readReferences(body, dialect) : undefined;
      } catch (error) {
        throw requestError(error);
      }
      return references === undefined
        ? { body, inspection, provider: "", wrap: wrapFor(request, noFileIds, false) }
        : resolve(request, references);
    },
  };
}
