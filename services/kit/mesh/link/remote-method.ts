import { type DescMethod, type DescService, toBinary } from "@bufbuild/protobuf";
import { OpenSchema } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { fieldsOf } from "./header-fields.ts";
import { createMethodCodecs, type MessageCodec, type MessageCodecOptions } from "./message-codec.ts";

const longestTimeoutMs = 0xffff_ffff;

/** A method of another process. */
export class RemoteMethod {
  readonly service: DescService;
  readonly method: DescMethod;
  readonly input: MessageCodec;
  readonly output: MessageCodec;
  readonly #procedure: string;
  #lastTimeoutMs: number | undefined;
  #lastOpen: Uint8Array | undefined;

  constructor(service: DescService, method: DescMethod, options: MessageCodecOptions) {
    this.service = service;
    this.method = method;
    const { input, output } = createMethodCodecs(method, options);
    this.input = input;
    this.output = output;
    this.#procedure = `${service.typeName}/${method.name}`;
  }

  /** The serialized Open of a call. Most calls of a method have the same one. */
  open(timeoutMs: number | undefined, headers: Headers | undefined): Uint8Array {
    if (headers === undefined && this.#lastOpen !== undefined && this.#lastTimeoutMs === timeoutMs) {
      return this.#lastOpen;
    }
    const open = toBinary(OpenSchema, {
      $typeName: "penstock.mesh.v1.Open",
      procedure: this.#procedure,
      // 0 would say that there is no limit.
      timeoutMs: timeoutMs === undefined ? 0 : Math.min(longestTimeoutMs, Math.max(1, Math.ceil(timeoutMs))),
      header: headers === undefined ? [] : fieldsOf(headers),
    });
    if (headers === undefined) {
      this.#lastTimeoutMs = timeoutMs;
      this.#lastOpen = open;
    }
    return open;
  }
}
