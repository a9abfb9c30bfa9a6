/** Medians and tails of samples, in milliseconds. */

export type Stats = { n: number; p50: number; p95: number; p99: number; max: number };

/** A line of the bench: milliseconds, or one value in a unit of its own. */
export type Row = { what: string; p50: number; p95: number; n: number } | { what: string; unit: string; value: number };

export function toRow(what: string, { p50, p95, n }: Stats): Row {
  return { what, p50, p95, n };
}

export function stats(samples: number[]): Stats {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
  return { n: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: round(sorted.at(-1) ?? Number.NaN) };
}

export async function sample(count: number, measure: (index: number) => Promise<number>): Promise<Stats> {
  const samples: number[] = [];
  for (let index = 0; index < count; index++) samples.push(await measure(index));
  return stats(samples);
}

/** Below ten, a hundredth of a millisecond counts. */
export function round(ms: number): number {
  return ms < 10 ? Math.round(ms * 100) / 100 : Math.round(ms * 10) / 10;
}
