/**
 * Rounds of a crash test, each on the volume that the one before has left: instances work under load until one dies or
 * freezes; then the volume must hold everything acknowledged, as it lies there.
 */

import { Client } from './client.ts';
import { healthOf } from './health.ts';
import type { Machine } from './machine.ts';
import type { Place } from './place.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';

export type Strike = NonNullable<Plan['strike']>;

export type RoundInput = {
  place: Place;
  random: Random;
  /** Null: at a time of its own choosing. */
  strike: Strike | null;
  /** Whether what was not flushed is at risk as well. */
  loses: boolean;
  /** Large messages, until a snapshot is made. */
  isHeavy: boolean;
  /** Its flushes do nothing. */
  isLying?: boolean;
};

export type RoundResult = {
  isStruck: boolean;
  lostUnflushed: string[];
  faults: string[];
  /** Of the faults, what the volume lacked after the strike. */
  missing: string[];
  isUnreadable: boolean;
};

const clientsAtOnce = 4;
const frozenMs = 2_500;
/** Five minutes. */
const maxTries = 60_000;

/** They go on with what was said to other instances, too. */
export function makeClients(
  place: Place,
  random: Random,
  input: { fatShare?: number; timeoutMs?: number } = {},
): Client[] {
  const { ledger } = place;
  const old = ledger.conversations();
  return Array.from({ length: clientsAtOnce }, () => {
    const name = place.nextName();
    const client = new Client({ name, ledger, random: random.fork(), fatShare: 0.02, timeoutMs: 25_000, ...input });
    if (old.length > 0) client.adopt(random.pick(old));
    return client;
  });
}

/** Until so many requests were sent, or nobody is there to be asked. */
export async function load(
  clients: Client[],
  random: Random,
  input: { requests: number; machines: () => Machine[] },
): Promise<void> {
  let left = input.requests;
  await Promise.all(
    clients.map(async (client) => {
      for (; left > 0; ) {
        const machines = input.machines().filter(({ state, url }) => state === 'live' && url !== null);
        if (machines.length === 0) return;
        left -= 1;
        await client.act(random.pick(machines));
      }
    }),
  );
}

/** Takes over, works, makes a snapshot, hands over, takes back, stops; or is struck on its way. */
export async function round({
  place,
  random,
  strike,
  loses,
  isHeavy,
  isLying = false,
}: RoundInput): Promise<RoundResult> {
  const machine = await place.start({ strike, isLying });
  const faults = machine.state === 'live' ? faultsOfRestart(place, machine) : faultsOfStart(machine);
  // What a frozen instance was asked has no answer.
  const clients = makeClients(place, random, strike?.by === 'SIGSTOP' ? { timeoutMs: frozenMs } : {});
  const machines = () => [machine];
  if (strike === null) {
    const enough = place.ledger.acknowledged + random.below(60);
    const working = load(clients, random, { requests: 10_000, machines });
    const fat = isHeavy ? fatChats(clients, machine) : null;
    await until(() => place.ledger.acknowledged >= enough || machine.state === 'dead');
    await machine.kill();
    await Promise.all([working, fat]);
  } else {
    await load(clients, random, { requests: 12, machines });
    if (isHeavy) await fatChats(clients, machine);
    await load(clients, random, { requests: 8, machines });
    if (machine.state === 'live') {
      const other = await place.start();
      faults.push(...faultsOfStart(other));
      await load(clients, random, { requests: 8, machines: () => [other] });
      await load(clients, random, { requests: 4, machines });
      await Promise.race([machine.stop(), whenFrozen(machine)]);
    }
  }
  const isStruck = strike === null || machine.state === 'frozen' || (await machine.exited) === 'SIGKILL';
  if (machine.state === 'frozen') faults.push(...(await whileFrozen(place, random, machine)));
  await place.killAll();
  const lostUnflushed = loses ? place.loseUnflushed(random) : [];
  place.readJournals();
  const { unreadable, lost } = place.look();
  return {
    isStruck,
    lostUnflushed,
    faults: [...faults, ...unreadable, ...lost],
    missing: [...unreadable, ...lost],
    isUnreadable: unreadable.length > 0,
  };
}

/** Another takes over from a frozen instance and works; the first, thawed, serves what both have acknowledged. */
async function whileFrozen(place: Place, random: Random, frozen: Machine): Promise<string[]> {
  const other = await place.start();
  const clients = makeClients(place, random);
  await load(clients, random, { requests: 12, machines: () => [other] });
  frozen.thaw();
  await load(clients, random, { requests: 16, machines: () => [other, frozen] });
  return faultsOfStart(other);
}

/**
 * A snapshot is made when the log has grown by four megabytes, or a quarter of the database. Half of the clients see to that;
 * the others go on meanwhile, so that there is always something to be acknowledged.
 */
async function fatChats(clients: Client[], machine: Machine): Promise<void> {
  let isOver = false;
  const isMade = async () => isOver || Boolean((await healthOf(machine))?.store.last_snapshot_at);
  await Promise.all(
    clients.map(async (client, index) => {
      const isFat = index % 2 === 0;
      for (let sent = 0; sent < (isFat ? 8 : 200) && machine.state === 'live'; sent += 1) {
        if (isFat ? await isMade() : isOver) break;
        await (isFat ? client.fatChat(machine) : client.act(machine));
      }
      isOver = true;
    }),
  );
}

/** It listens, or was struck before. */
function faultsOfStart({ url, state, output, number }: Machine): string[] {
  if (url !== null || state === 'frozen') return [];
  return output.some((line) => /damaged|fatal|error/i.test(line))
    ? [`instance ${number} did not start: ${output.slice(-6).join('\n')}`]
    : [];
}

/** Before it is asked for anything: nothing is lost, and nothing is stuck. */
function faultsOfRestart(place: Place, machine: Machine): string[] {
  if (machine.url === null) return faultsOfStart(machine);
  const { unreadable, lost, running } = place.look();
  return [
    ...unreadable,
    ...lost,
    ...(running === 0 ? [] : [`${running} conversations are running, and nobody is at work`]),
  ];
}

async function whenFrozen(machine: Machine): Promise<void> {
  await until(() => machine.state !== 'live');
}

export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries === maxTries) throw new Error(`waited in vain until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
