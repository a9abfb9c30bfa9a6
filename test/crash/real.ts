/** A round with nothing left out: `src/main.ts`, the real agent and its processes, and a model API on loopback. */

import { type Model, startModel } from '../support/model.ts';
import { Client } from './client.ts';
import type { Place } from './place.ts';
import type { Random } from './random.ts';
import { type RoundResult, until } from './rounds.ts';

const actions = ['chat', 'chat', 'stream', 'makeTask', 'changeTask', 'outbound', 'trigger'] as const;

/** It takes down whatever is said to it. */
export async function startNotingModel(): Promise<Model> {
  const model = await startModel();
  model.mock.on({ userMessage: /said-|task:/ }, { content: 'Noted.' });
  return model;
}

/** Kills it after so many acknowledgements, in the middle of others; then looks. */
export async function roundWithRealAgent(input: {
  place: Place;
  random: Random;
  modelUrl: string;
  loses: boolean;
  acknowledgements: number;
}): Promise<RoundResult> {
  const { place, random, modelUrl, loses } = input;
  const { ledger } = place;
  const machine = await place.start({ modelUrl });
  const enough = ledger.acknowledged + input.acknowledgements;
  const clients = [place.nextName(), place.nextName()].map(
    (name) => new Client({ name, ledger, random: random.fork(), fatShare: 0, timeoutMs: 60_000 }),
  );
  const working = Promise.all(
    clients.map(async (client) => {
      while (machine.state === 'live') await client.act(machine, random.pick(actions));
    }),
  );
  await until(() => ledger.acknowledged >= enough || machine.state === 'dead');
  const hasDied = machine.state === 'dead';
  await machine.kill();
  await working;
  const lostUnflushed = loses ? place.loseUnflushed(random) : [];
  place.readJournals();
  const { unreadable, lost } = place.look();
  const faults = hasDied ? [`it died by itself: ${machine.output.slice(-6).join('\n')}`] : [];
  return {
    isStruck: true,
    lostUnflushed,
    faults: [...faults, ...unreadable, ...lost],
    missing: [...unreadable, ...lost],
    isUnreadable: unreadable.length > 0,
  };
}
