/**
 * What answers of the model API cost, by its list prices. Pure.
 *
 * The figures are those by which the claude program of the pinned Agent SDK adds up a run's cost, measured by giving it
 * answers with a million tokens of each kind; `test/e2e/agent-prices.test.ts` measures some of them again. A model that is
 * not in the table has no price here. (The program takes the price of its default model for it.)
 */

import { noUsage, type Usage } from '../../domain/run.ts';

/** What of an answer has a price. */
export type Counts = Usage & {
  /** Of the tokens written to the cache, those that are kept for an hour and not for five minutes. */
  cacheCreation1hInputTokens: number;
  /** Searches that the API made for the model. */
  webSearches: number;
  /** Answered in the API's fast mode. */
  isFast: boolean;
  /** Computed in the United States, by request. */
  isRegional: boolean;
};

export const noCounts: Counts = {
  ...noUsage,
  cacheCreation1hInputTokens: 0,
  webSearches: 0,
  isFast: false,
  isRegional: false,
};

/** USD a million tokens. */
type Price = { input: number; output: number; cacheRead: number };

type ModelPrice = Price & {
  fast?: Price;
  /** Of the whole answer, where its prompt, cache included, is longer than this. */
  long?: Price & { abovePromptTokens: number };
};

/** In all prices: what writing to the cache costs, in prices of the input. */
const cacheWrite = { fiveMinutes: 1.25, oneHour: 2 };
const regionalFactor = 1.1;
const webSearchUsd = 0.01;

const sonnet4 = { input: 3, output: 15, cacheRead: 0.3 };
const opus4 = { input: 5, output: 25, cacheRead: 0.5 };
const fable5 = { input: 10, output: 50, cacheRead: 1 };
const fable51 = { input: 10, output: 50, cacheRead: 0.25 };
const fable52 = { input: 8, output: 40, cacheRead: 0.2, fast: { input: 16, output: 80, cacheRead: 0.4 } };

const prices = new Map<string, ModelPrice>(
  Object.entries({
    '3-5-haiku': { input: 0.8, output: 4, cacheRead: 0.08 },
    'haiku-4-5': { input: 1, output: 5, cacheRead: 0.1 },
    'haiku-5-5': {
      input: 0.1,
      output: 0.5,
      cacheRead: 0.01,
      long: { abovePromptTokens: 100_000, input: 0.5, output: 2.5, cacheRead: 0.05 },
    },
    '3-5-sonnet': sonnet4,
    '3-7-sonnet': sonnet4,
    'sonnet-4': sonnet4,
    'sonnet-4-0': sonnet4,
    'sonnet-4-5': sonnet4,
    'sonnet-4-6': sonnet4,
    'sonnet-5': { input: 2, output: 10, cacheRead: 0.2 },
    'sonnet-5-5': { input: 2, output: 10, cacheRead: 0.1 },
    'opus-4-5': opus4,
    'opus-4-6': { ...opus4, fast: { input: 30, output: 150, cacheRead: 3 } },
    'opus-4-7': { ...opus4, fast: { input: 30, output: 150, cacheRead: 3 } },
    'opus-4-8': { ...opus4, fast: { input: 10, output: 50, cacheRead: 1 } },
    'opus-5': { ...opus4, fast: { input: 10, output: 50, cacheRead: 1 } },
    'opus-5-5': { input: 4, output: 20, cacheRead: 0.2, fast: { input: 8, output: 40, cacheRead: 0.4 } },
    'fable-5': fable5,
    'fable-5-1': fable51,
    'fable-5-2': fable52,
    'mythos-5': fable5,
    'mythos-5-1': fable51,
    'mythos-5-2': fable52,
  }),
);

/** USD; null when the model's price is not known. */
export function costOf(model: string, counts: Counts): number | null {
  const listed = prices.get(familyOf(model));
  if (listed === undefined) return null;
  const price = choose(listed, counts);
  const longCached = Math.min(counts.cacheCreation1hInputTokens, counts.cacheCreationInputTokens);
  const shortCached = counts.cacheCreationInputTokens - longCached;
  const inputs = counts.inputTokens + shortCached * cacheWrite.fiveMinutes + longCached * cacheWrite.oneHour;
  const tokensUsd =
    (inputs * price.input + counts.outputTokens * price.output + counts.cacheReadInputTokens * price.cacheRead) /
    1_000_000;
  return tokensUsd * (counts.isRegional ? regionalFactor : 1) + counts.webSearches * webSearchUsd;
}

function choose(listed: ModelPrice, counts: Counts): Price {
  if (counts.isFast) return listed.fast ?? listed;
  const promptTokens = counts.inputTokens + counts.cacheReadInputTokens + counts.cacheCreationInputTokens;
  return listed.long && promptTokens > listed.long.abovePromptTokens ? listed.long : listed;
}

/** `opus-4-5` of `claude-opus-4-5-20251101` and of the ways in which other clouds and gateways write it. */
function familyOf(model: string): string {
  const name =
    /(?:^|[./])claude-(.+?)(?:[-@]\d{8})?(?:-v\d+(?::\d+)?)?(?:-latest)?(?:\[[12]m\])?$/i.exec(model)?.[1] ?? '';
  return name.toLowerCase().replace(/(\d)\.(\d)/g, '$1-$2');
}
