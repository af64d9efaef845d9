import { CodecError } from "../codec.ts";

const MAX_CALLS = 1024;

/** One tool call of a stream, as far as it has come. */
export interface TrackedCall {
  /** The call's place among the calls of its candidate, from 0. */
  readonly callIndex: number;
  /** True when this delta begins the call. */
  readonly isNew: boolean;
}

interface OpenCall {
  readonly callIndex: number;
  readonly name: string;
  hasArguments: boolean;
}

/**
 * Tells which call of a candidate a delta belongs to. OpenAI's `index` would say it, but servers leave it out, use 0 for
 * several calls, or count text blocks along; so the id decides where there is one, then the index, then the order.
 */
export class ToolCallTracker {
  readonly #byId = new Map<string, OpenCall>();
  readonly #byIndex = new Map<number, OpenCall>();
  readonly #calls: OpenCall[] = [];

  /** True once a call has begun. */
  get hasCalls(): boolean {
    return this.#calls.length > 0;
  }

  /** Finds the call of a delta, or begins one. Throws CodecError for more calls than any answer has. */
  track(delta: { readonly index: number | undefined; readonly id: string; readonly name: string }): TrackedCall {
    const found = this.#find(delta);
    if (found !== undefined) {
      return { callIndex: found.callIndex, isNew: false };
    }
    if (this.#calls.length >= MAX_CALLS) {
      throw new CodecError(`the answer has more than ${MAX_CALLS} tool calls`, { code: "array_above_max_length" });
    }
    const call: OpenCall = { callIndex: this.#calls.length, name: delta.name, hasArguments: false };
    this.#calls.push(call);
    if (delta.id !== "") {
      this.#byId.set(delta.id, call);
    }
    if (delta.index !== undefined) {
      this.#byIndex.set(delta.index, call);
    }
    return { callIndex: call.callIndex, isNew: true };
  }

  /** Notes that a call got a piece of its arguments. */
  noteArguments(callIndex: number): void {
    const call = this.#calls[callIndex];
    if (call !== undefined) {
      call.hasArguments = true;
    }
  }

  /** The calls that got no arguments at all; each is reported once. */
  takeCallsWithoutArguments(): readonly number[] {
    const bare = this.#calls.filter((call) => !call.hasArguments);
    for (const call of bare) {
      call.hasArguments = true;
    }
    return bare.map((call) => call.callIndex);
  }

  #find(delta: {
    readonly index: number | undefined;
    readonly id: string;
    readonly name: string;
  }): OpenCall | undefined {
    const sameId = delta.id === "" ? undefined : this.#byId.get(delta.id);
    if (sameId !== undefined) {
      return sameId;
    }
    const candidate = delta.index === undefined ? this.#calls.at(-1) : this.#byIndex.get(delta.index);
    if (candidate === undefined || delta.name === "") {
      // No name: some servers make up a new id for every piece of one call.
      return candidate;
    }
    // A name begins a call, unless the server repeats it with every piece, which it then does without an id.
    return delta.id === "" && delta.index !== undefined && delta.name === candidate.name ? candidate : undefined;
  }
}
