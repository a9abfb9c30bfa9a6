/**
 * What the model API has counted under one pass, by model.
 *
 * Counted while it passes, so that what a cut-off answer has told is in it. The API's numbers grow over one answer; what
 * they grow by is added, so that a take in the middle of an answer neither loses nor repeats any.
 */

import type { Readable } from 'node:stream';
import { noUsage, type Usage } from '../../domain/run.ts';
import { type Counts, costOf, noCounts } from './prices.ts';
import { readUsage } from './usage-reader.ts';

export type Meter = {
  /** Counts what the body tells, while somebody else reads it. */
  read(answer: Readable & { headers: { 'content-type'?: string | undefined } }): void;
  /** What was counted since the last take. */
  take(): Metered;
};

export type Metered = Spent & { models: ModelSpent[] };

export type ModelSpent = Spent & {
  /** As the model API names it in its answer; it may be another than was asked for. */
  model: string;
};

export type Spent = {
  usage: Usage;
  /** An estimate in USD by the list prices (`prices.ts`); null where the price of a model is not known. */
  costUsd: number | null;
};

export function createMeter(): Meter {
  let models = new Map<string, Spent>();

  return {
    read: (answer) => {
      let told = noCounts;
      readUsage(answer, (model, counts) => {
        const spent = models.get(model) ?? nothingSpent;
        const grown = {
          usage: subtract(counts, told),
          costUsd: difference(costOf(model, counts), costOf(model, told)),
        };
        models.set(model, add(spent, grown));
        told = counts;
      });
    },
    take: () => {
      const taken = [...models].map(([model, spent]) => ({ model, ...spent }));
      models = new Map();
      return { ...taken.reduce<Spent>(add, nothingSpent), models: taken };
    },
  };
}

const nothingSpent: Spent = { usage: noUsage, costUsd: 0 };

function add(a: Spent, b: Spent): Spent {
  return {
    usage: {
      inputTokens: a.usage.inputTokens + b.usage.inputTokens,
      outputTokens: a.usage.outputTokens + b.usage.outputTokens,
      cacheReadInputTokens: a.usage.cacheReadInputTokens + b.usage.cacheReadInputTokens,
      cacheCreationInputTokens: a.usage.cacheCreationInputTokens + b.usage.cacheCreationInputTokens,
    },
    costUsd: a.costUsd === null || b.costUsd === null ? null : a.costUsd + b.costUsd,
  };
}

function subtract(a: Counts, b: Counts): Usage {
  return {
    inputTokens: a.inputTokens - b.inputTokens,
    outputTokens: a.outputTokens - b.outputTokens,
    cacheReadInputTokens: a.cacheReadInputTokens - b.cacheReadInputTokens,
    cacheCreationInputTokens: a.cacheCreationInputTokens - b.cacheCreationInputTokens,
  };
}

function difference(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a - b;
}
