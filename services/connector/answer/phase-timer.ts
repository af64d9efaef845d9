/**
 * Limits the phases of an attempt one after another with one timer: when it goes off too early for the phase that is
 * running, it is set again for the rest. Making a timer for each phase would cost more than the rest of the limit.
 */
export class PhaseTimer {
  #timer: NodeJS.Timeout | undefined;
  #timerEnds = 0;
  #phaseMs = 0;
  #phaseEnds = 0;
  #onEnd: () => void = () => undefined;

  /** Begins a phase, which ends the one before. */
  begin(phaseMs: number, onEnd: () => void): void {
    this.#phaseMs = phaseMs;
    this.#phaseEnds = performance.now() + phaseMs;
    this.#onEnd = onEnd;
    if (this.#timer === undefined || this.#phaseEnds < this.#timerEnds) {
      clearTimeout(this.#timer);
      this.#set(phaseMs);
    }
  }

  /** Gives the running phase its whole time again. */
  extend(): void {
    this.#phaseEnds = performance.now() + this.#phaseMs;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#onEnd = () => undefined;
  }

  #set(delayMs: number): void {
    this.#timerEnds = this.#phaseEnds;
    this.#timer = setTimeout(this.#onTimer, delayMs);
  }

  readonly #onTimer = (): void => {
    const leftMs = this.#phaseEnds - performance.now();
    if (leftMs <= 1) {
      this.#onEnd();
    } else {
      this.#set(leftMs);
    }
  };
}
