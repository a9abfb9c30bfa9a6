/**
 * A serverless life: three instances on one volume, of which the platform freezes, thaws, kills or starts one at a time as it
 * likes, while clients go on with whichever is awake. A refusal (503) is no fault; a lost or an old answer is.
 */

import type { Machine } from './machine.ts';
import type { Place } from './place.ts';
import type { Random } from './random.ts';
import { load, makeClients } from './rounds.ts';

const slots = 3;

export type LifeInput = { place: Place; random: Random; rounds: number; onRound?: () => void };
export type LifeResult = { kills: number; faults: string[]; isUnreadable: boolean };

export async function liveServerless({ place, random, rounds, onRound }: LifeInput): Promise<LifeResult> {
  const machines: (Machine | null)[] = Array<Machine | null>(slots).fill(null);
  const clients = makeClients(place, random, { timeoutMs: 1_500 });
  const awake = () => machines.filter((machine) => machine !== null).filter(({ state }) => state === 'live');
  let kills = 0;
  for (let turn = 0; turn < rounds; turn += 1) {
    const requests = 4 + random.below(20);
    const working = load(clients, random, { requests, machines: awake });
    // Between requests, as a platform does by the book; and under load, as one does that is short of memory.
    if (random.chance(0.7)) await working;
    kills += await change(machines, place, random);
    if (awake().length === 0) await change(machines, place, random, 'start');
    await working;
    onRound?.();
  }
  for (const machine of machines) machine?.thaw();
  await load(clients, random, { requests: 30, machines: awake });
  await place.killAll();
  place.readJournals();
  const last = place.look();
  return { kills, faults: [...last.unreadable, ...last.lost], isUnreadable: last.unreadable.length > 0 };
}

/** Returns how many were killed. */
async function change(machines: (Machine | null)[], place: Place, random: Random, wanted?: 'start'): Promise<number> {
  const slot =
    wanted === 'start'
      ? Math.max(
          0,
          machines.findIndex((machine) => (machine?.state ?? 'dead') !== 'live'),
        )
      : random.below(slots);
  const machine = machines[slot] ?? null;
  if (machine === null || machine.state === 'dead') {
    machines[slot] = await place.start({ local: `local-${slot}` });
    return 0;
  }
  if (machine.state === 'frozen') {
    if (wanted === undefined && random.chance(0.3)) {
      await machine.kill();
      return 1;
    }
    machine.thaw();
    return 0;
  }
  if (random.chance(0.5)) {
    machine.freeze();
    return 0;
  }
  await machine.kill();
  return 1;
}
