import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { watchCaller } from "./watch-caller.ts";

/**
 * The context of a call inside the process. Everything in it is made when it is first asked for: most handlers ask for
 * nothing, and an AbortController costs more than the rest of the call.
 */
export class LocalContext implements HandlerContext {
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod = "POST";
  readonly protocolName = "local";
  readonly #options: CallOptions | undefined;
  readonly #deadline: number | undefined;
  #controller: AbortController | undefined;
  #aborted = false;
  #reason: unknown;
  #values: ContextValues | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(service: DescService, method: DescMethod, options: CallOptions | undefined) {
    this.service = service;
    this.method = method;
    this.#options = options;
    const timeoutMs = options?.timeoutMs;
    this.#deadline = timeoutMs === undefined || timeoutMs <= 0 ? undefined : performance.now() + timeoutMs;
  }

  get url(): string {
    return `local://${this.service.typeName}/${this.method.name}`;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) {
        this.#controller.abort(this.#reason);
      }
    }
    return this.#controller.signal;
  }

  get values(): ContextValues {
    this.#values ??= this.#options?.contextValues ?? createContextValues();
    return this.#values;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= new Headers(this.#options?.headers);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  timeoutMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(0, this.#deadline - performance.now());
  }

  /** Aborts the signal of a call that is over, where a handler has asked for one. Costs nothing where none has. */
  end(): void {
    if (this.#controller !== undefined) {
      this.abort(new ConnectError("the call has ended", Code.Canceled));
    } else if (!this.#aborted) {
      this.#aborted = true;
      this.#reason = "the call has ended";
    }
  }

  /** Aborts the signal, now or when it is first asked for. */
  abort(reason: unknown): void {
    if (this.#aborted) {
      return;
    }
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** The headers that the handler has asked for, and so may have set; undefined when it has not. */
  get usedResponseHeader(): Headers | undefined {
    return this.#responseHeader;
  }

  /** As usedResponseHeader, of the trailers. */
  get usedResponseTrailer(): Headers | undefined {
    return this.#responseTrailer;
  }

  /** Hands the headers and trailers that the handler set to the caller. */
  deliverHeaders(): void {
    this.#options?.onHeader?.(this.responseHeader);
  }

  deliverTrailers(): void {
    this.#options?.onTrailer?.(this.responseTrailer);
  }

  /**
   * Calls back once when the caller aborts or its deadline passes. Returns what ends the watch. Costs nothing for a
   * call that has neither.
   */
  watch(onEnd: (error: ConnectError) => void): () => void {
    return watchCaller(this.#options?.signal, this.timeoutMs(), onEnd);
  }
}
