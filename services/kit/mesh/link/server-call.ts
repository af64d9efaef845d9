import type { Buffer } from "node:buffer";
import { toBinary, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { HeadSchema, type Open } from "#gen/penstock/mesh/v1/link_service_pb.ts";
import { asConnectError } from "../as-connect-error.ts";
import { LocalContext } from "../local-context.ts";
import type { AnyMessage } from "../message-of.ts";
import { writeEnd } from "./call-end.ts";
import type { FrameStream } from "./frame-stream.ts";
import { fieldsOf, headersOf } from "./header-fields.ts";
import { type InterceptedCall, interceptStream, interceptUnary } from "./intercept-call.ts";
import { frameKind, LinkProtocolError } from "./link-protocol.ts";
import type { MessageCodec } from "./message-codec.ts";
import { MessageReceiver } from "./message-receiver.ts";
import { MessageSender } from "./message-sender.ts";

/** A method that links can call. */
export interface ServedMethod {
  readonly service: DescService;
  readonly method: DescMethod;
  readonly input: MessageCodec;
  readonly output: MessageCodec;
  /** Answers with a message or a promise of one when the method is unary, else with an AsyncIterable of messages. */
  readonly handler: (request: AnyMessage, context: LocalContext) => unknown;
  readonly interceptors: readonly Interceptor[];
  readonly maxMessageBytes: number;
}

/** One call of another process. */
export class ServerCall {
  readonly #frames: FrameStream;
  readonly #callId: number;
  readonly #served: ServedMethod;
  readonly #onOver: (callId: number) => void;
  readonly #context: LocalContext;
  #stopWatching: (() => void) | undefined;
  readonly #sender: MessageSender;
  #receiver: MessageReceiver | undefined;
  #started = false;
  #headDue = true;
  #over = false;
  #source: AsyncIterator<unknown> | undefined;

  /** `onOver` is told once when the call needs nothing more of the link. */
  constructor(frames: FrameStream, callId: number, served: ServedMethod, open: Open, onOver: (callId: number) => void) {
    this.#frames = frames;
    this.#callId = callId;
    this.#served = served;
    this.#onOver = onOver;
    this.#context = new LocalContext(served.service, served.method, {
      timeoutMs: open.timeoutMs,
      ...(open.header.length === 0 ? {} : { headers: headersOf(open.header) }),
    });
    this.#sender = new MessageSender(frames, callId, this.#onReady);
  }

  /** Takes a part of the request. */
  part(content: Buffer): void {
    this.#requireWaiting();
    this.#receiver ??= new MessageReceiver(this.#frames, this.#callId, this.#served.maxMessageBytes);
    try {
      this.#receiver.part(content);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Takes the request, or the last part of it, and begins. */
  request(content: Buffer): void {
    this.#requireWaiting();
    this.#started = true;
    let request: AnyMessage;
    try {
      request = this.#served.input.decode(this.#receiver === undefined ? content : this.#receiver.message(content));
    } catch (error) {
      this.#refuse(error);
      return;
    }
    this.#receiver = undefined;
    try {
      if (this.#served.method.methodKind === "unary") {
        this.#answer(request);
      } else {
        this.#stream(request);
      }
    } catch (error) {
      this.#end(asConnectError(error));
    }
  }

  /** The caller has room for more. */
  credit(bytes: number): void {
    this.#sender.add(bytes);
  }

  /** The caller has left, or its link broke: the handler is told, and nobody else. */
  cancel(reason: ConnectError): void {
    if (this.#over) {
      return;
    }
    this.#context.abort(reason);
    this.#leaveSource();
    this.#finish();
  }

  #requireWaiting(): void {
    if (this.#started) {
      throw new LinkProtocolError("a call has more than one request");
    }
  }

  #answer(request: AnyMessage): void {
    const { handler, interceptors } = this.#served;
    const output =
      interceptors.length === 0
        ? handler(request, this.#context)
        : interceptUnary(interceptors, this.#intercepted(), request, (message) => handler(message, this.#context));
    if (output instanceof Promise) {
      this.#watchDeadline();
      output.then(this.#onAnswer, this.#onError);
    } else {
      this.#onAnswer(output);
    }
  }

  readonly #onAnswer = (output: unknown): void => {
    if (!this.#over && this.#send(output)) {
      this.#end(undefined);
    }
  };

  /** Not before something is awaited: most unary handlers answer at once. */
  #watchDeadline(): void {
    this.#stopWatching = this.#context.watch((error) => this.#abandon(error));
  }

  #stream(request: AnyMessage): void {
    this.#watchDeadline();
    const { handler, interceptors } = this.#served;
    // A method that is not unary streams its answer: createLinkServer serves no others.
    const call = (message: AnyMessage) => handler(message, this.#context) as AsyncIterable<unknown>;
    if (interceptors.length === 0) {
      this.#begin(call(request));
    } else {
      interceptStream(interceptors, this.#intercepted(), request, call).then(
        (messages) => this.#begin(messages),
        this.#onError,
      );
    }
  }

  #begin(messages: AsyncIterable<unknown>): void {
    this.#source = messages[Symbol.asyncIterator]();
    if (this.#over) {
      this.#leaveSource();
    } else {
      this.#pull();
    }
  }

  #pull(): void {
    this.#source?.next().then(this.#onResult, this.#onError);
  }

  readonly #onResult = (result: IteratorResult<unknown>): void => {
    if (this.#over) {
      return;
    }
    if (result.done === true) {
      this.#end(undefined);
    } else if (this.#send(result.value)) {
      this.#pull();
    }
  };

  readonly #onError = (error: unknown): void => {
    if (!this.#over) {
      this.#end(asConnectError(error));
    }
  };

  /** The message that had to wait has been sent. */
  readonly #onReady = (): void => {
    if (this.#over) {
      return;
    }
    if (this.#source === undefined) {
      this.#end(undefined);
    } else {
      this.#pull();
    }
  };

  /** Sends a message of the answer. True when it was sent at once. */
  #send(value: unknown): boolean {
    let bytes: Uint8Array;
    try {
      bytes = this.#served.output.encode(value);
    } catch (error) {
      this.#refuse(error);
      return false;
    }
    if (this.#headDue) {
      this.#headDue = false;
      const header = this.#context.usedResponseHeader;
      if (header !== undefined) {
        const head = toBinary(HeadSchema, { $typeName: "penstock.mesh.v1.Head", header: fieldsOf(header) });
        this.#frames.send(this.#callId, frameKind.head, head);
      }
    }
    return this.#sender.send(bytes);
  }

  #refuse(error: unknown): void {
    if (error instanceof LinkProtocolError) {
      throw error;
    }
    this.#abandon(asConnectError(error));
  }

  /** Ends the call with an error that is not the handler's, who is told. */
  #abandon(error: ConnectError): void {
    this.#context.abort(error);
    this.#leaveSource();
    this.#end(error);
  }

  #end(error: ConnectError | undefined): void {
    this.#frames.send(this.#callId, frameKind.end, writeEnd(error, this.#context.usedResponseTrailer));
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#sender.stop();
    this.#stopWatching?.();
    this.#context.end();
    this.#onOver(this.#callId);
  }

  #leaveSource(): void {
    // The source may be waiting; iterators of ours end at once, generators when their signal lets them.
    this.#source?.return?.().then(undefined, () => undefined);
  }

  #intercepted(): InterceptedCall {
    const { service, method } = this.#served;
    const context = this.#context;
    return {
      service,
      method,
      url: context.url,
      header: context.requestHeader,
      signal: context.signal,
      contextValues: context.values,
      responseHeader: context.responseHeader,
      responseTrailer: context.responseTrailer,
    };
  }
}

/** Why a handler's call ended whose caller has left. */
export function callerLeft(): ConnectError {
  return new ConnectError("the caller has left", Code.Canceled);
}
