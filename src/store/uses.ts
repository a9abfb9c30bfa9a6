/** Who uses the store now, and who waits to. */

export type Use = 'reads' | 'writes';

/** `tidies`: writes what can as well be done another time, or by another instance. Nobody is made to wait for it. */
export type AnyUse = Use | 'tidies';

export class Uses {
  readonly #onChange: () => void;
  #count = 0;
  #writers = 0;
  #expected = 0;
  #whenNone: PromiseWithResolvers<void> | null = null;

  /** `onChange` is called whenever somebody comes or goes. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get writers(): number {
    return this.#writers;
  }

  /** Whether anybody writes for somebody, or waits to. */
  get isAtWork(): boolean {
    return this.#writers + this.#expected > 0;
  }

  /** Until the function is called, which may be called again. */
  begin(kind: AnyUse): () => void {
    this.#count += 1;
    if (kind === 'writes') this.#writers += 1;
    this.#onChange();
    return once(() => {
      this.#count -= 1;
      if (kind === 'writes') this.#writers -= 1;
      this.#onChange();
      this.#tellNone();
    });
  }

  /** Somebody waits for the store; until the function is called. */
  expect(kind: Use): () => void {
    if (kind === 'reads') return () => undefined;
    this.#expected += 1;
    return once(() => {
      this.#expected -= 1;
      this.#onChange();
    });
  }

  /** Resolves when nobody uses it. */
  none(): Promise<void> {
    this.#whenNone ??= Promise.withResolvers();
    const { promise } = this.#whenNone;
    this.#tellNone();
    return promise;
  }

  #tellNone(): void {
    if (this.#count > 0 || this.#whenNone === null) return;
    this.#whenNone.resolve();
    this.#whenNone = null;
  }
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
