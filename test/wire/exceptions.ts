import type { Recording } from "../harness/recordings.ts";
import type { WireDoor } from "./wire-door.ts";
import type { WireTarget } from "./wire-targets.ts";

/** A difference that is right as it is. */
export interface WireException {
  readonly name: string;
  /** Why it is right. */
  readonly argument: string;
  /** Which answers at which doors. */
  readonly applies: (recording: Recording, door: WireDoor, target: WireTarget) => boolean;
  /** Which of their differences. */
  readonly problem: RegExp;
}

/** All differences that are right, each with its argument. What is not named here fails. */
export const wireExceptions: readonly WireException[] = [];
