/** Everything random of a crash test, from one seed. */

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed | 0;
  }

  /** Below 1. mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number below the limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** By weights. */
  pickName<Name extends string>(weights: Record<Name, number>): Name {
    const names: Name[] = [];
    for (const name in weights) names.push(...Array<Name>(weights[name]).fill(name));
    return this.pick(names);
  }

  /** Of its own: what is drawn from it changes nothing here. */
  fork(): Random {
    return new Random(this.below(2 ** 31));
  }
}

/** `PICOCLAW_CRASH_SEED` repeats a run. */
export function seedOfTest(): number {
  const given = Number(process.env.PICOCLAW_CRASH_SEED ?? Number.NaN);
  const seed = Number.isInteger(given) ? given : Math.floor(Math.random() * 2 ** 31);
  console.info(`PICOCLAW_CRASH_SEED=${seed}`);
  return seed;
}
