/**
 * A timer of which only the last setting counts, and which counts only the time in which this process ran: after a freeze
 * what it waits for may be there already, and gets the chance to be read.
 */

const stepMs = 1_000;

export class Deadline {
  #timer: NodeJS.Timeout | null = null;

  set(ms: number, onPassed: () => void): void {
    this.clear();
    const step = Math.min(ms, stepMs);
    this.#timer = setTimeout(() => (ms > step ? this.set(ms - step, onPassed) : onPassed()), step);
  }

  clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
