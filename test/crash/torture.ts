/**
 * The long form of the crash suite: `npm run torture -- [--kills N] [--seed S] [--minutes M]`.
 *
 * Kills at every moment that the instances show, then at random ones, then the life of three instances that share a volume;
 * half of the kills also lose what was not flushed. Exit code 1 when anything acknowledged was lost, or a volume could not be
 * read; that volume is kept.
 */

import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { makeDir } from '../support/server.ts';
import { learnStrikes } from './catalogue.ts';
import { liveServerless } from './life.ts';
import { Place } from './place.ts';
import { Random } from './random.ts';
import { roundWithRealAgent, startNotingModel } from './real.ts';
import { type RoundInput, round, type Strike } from './rounds.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '2000' },
    seed: { type: 'string' },
    minutes: { type: 'string', default: '600' },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const endsAt = performance.now() + Number(values.minutes) * 60_000;
const lanes = 2;
/** A volume that has grown large makes rounds slow, and snapshots rare. */
const roundsPerVolume = 25;
const lifeRounds = 40;

const sum = {
  kills: 0,
  placed: 0,
  random: 0,
  life: 0,
  real: 0,
  missed: 0,
  freezes: 0,
  withLoss: 0,
  acknowledged: 0,
  lost: 0,
  unreadable: 0,
};
console.info(`seed ${seed}, ${kills} kills`);
const random = new Random(seed);
const model = await startNotingModel();
const lesson = new Place(makeDir());
const moments = await learnStrikes(lesson, random);
rmSync(lesson.dir, { recursive: true, force: true });
/** Half of all kills, a few freezes among them. */
const strikes = moments
  .slice(0, Math.ceil(kills / 2))
  .map((strike): Strike => (random.chance(0.04) ? { ...strike, by: 'SIGSTOP' } : strike));
console.info(`${moments.length} moments to strike at, ${strikes.length} of them will be`);
await Promise.all(Array.from({ length: lanes }, () => lane(random.fork())));
console.info(
  `torture: ${Object.entries(sum)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')}, seed ${seed}`,
);
process.exit(sum.lost + sum.unreadable > 0 ? 1 : 0);

async function lane(own: Random): Promise<void> {
  while (sum.kills < kills && performance.now() < endsAt) {
    const place = new Place(makeDir());
    const isGood = await own.pick([lifeOn, lifeOn, realOn, roundsOn, roundsOn, roundsOn, roundsOn])(place, own);
    sum.acknowledged += place.ledger.acknowledged;
    if (isGood) rmSync(place.dir, { recursive: true, force: true });
    else console.error(`kept for a look: ${place.dir}`);
  }
}

async function roundsOn(place: Place, own: Random): Promise<boolean> {
  for (let turn = 0; turn < roundsPerVolume && sum.kills < kills && performance.now() < endsAt; turn += 1) {
    const strike = own.chance(0.5) ? (strikes.shift() ?? null) : null;
    const isHeavy = strike !== null || own.chance(0.3);
    const input: RoundInput = { place, random: own, strike, loses: own.chance(0.5), isHeavy };
    const result = await round(input);
    sum.kills += 1;
    if (!result.isStruck) sum.missed += 1;
    else if (strike === null) sum.random += 1;
    else if (strike.by === 'SIGSTOP') sum.freezes += 1;
    else sum.placed += 1;
    if (input.loses) sum.withLoss += 1;
    if (sum.kills % 25 === 0) console.info(`${sum.kills} kills, ${strikes.length} moments left`);
    if (
      !report(place, {
        ...result,
        what: `${strike === null ? 'random kill' : JSON.stringify(strike)}; ${result.lostUnflushed.join(', ')}`,
      })
    )
      return false;
  }
  return true;
}

async function lifeOn(place: Place, own: Random): Promise<boolean> {
  const result = await liveServerless({ place, random: own, rounds: lifeRounds });
  sum.kills += result.kills;
  sum.life += result.kills;
  return report(place, { ...result, what: 'serverless life' });
}

async function realOn(place: Place, own: Random): Promise<boolean> {
  const acknowledgements = 2 + own.below(8);
  const result = await roundWithRealAgent({
    place,
    random: own,
    modelUrl: model.url,
    loses: own.chance(0.5),
    acknowledgements,
  });
  sum.kills += 1;
  sum.real += 1;
  return report(place, { ...result, what: 'a kill of the server with the real agent' });
}

function report(place: Place, result: { faults: string[]; isUnreadable: boolean; what: string }): boolean {
  if (result.faults.length === 0) return true;
  if (result.isUnreadable) sum.unreadable += 1;
  else sum.lost += result.faults.length;
  console.error(`FAULT on ${place.dir} after ${result.what}\n  ${result.faults.slice(0, 10).join('\n  ')}`);
  return false;
}
