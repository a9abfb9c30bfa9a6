import { describe, expect, it } from 'vitest';
import { Rounds } from '../../src/lib/rounds.ts';

/** Rounds whose end the test decides. */
function makeRounds() {
  const begun: PromiseWithResolvers<void>[] = [];
  const rounds = new Rounds(() => {
    const round = Promise.withResolvers<void>();
    begun.push(round);
    return round.promise;
  });
  return { rounds, begun };
}

const soon = () => new Promise((resolve) => setImmediate(resolve));

describe('rounds', () => {
  it('serve all who ask in one moment at once', async () => {
    const { rounds, begun } = makeRounds();
    const calls = [rounds.join(), rounds.join(), rounds.join()];
    await soon();
    expect(begun).toHaveLength(1);
    begun[0]?.resolve();
    await Promise.all(calls);
    expect(begun).toHaveLength(1);
  });

  it('serve whoever asks while one is under way by the next, which they share', async () => {
    const { rounds, begun } = makeRounds();
    const first = rounds.join();
    await soon();
    let later = 0;
    const calls = Array.from({ length: 5 }, async () => {
      await rounds.join();
      later += 1;
    });
    await soon();
    expect(begun).toHaveLength(1);
    begun[0]?.resolve();
    await first;
    await soon();
    expect([begun.length, later]).toEqual([2, 0]);
    begun[1]?.resolve();
    await Promise.all(calls);
    expect([begun.length, later]).toEqual([2, 5]);
  });

  it('that fail do so for those who joined them, and the next is not theirs', async () => {
    const { rounds, begun } = makeRounds();
    const first = rounds.join();
    await soon();
    const second = rounds.join();
    begun[0]?.reject(new Error('full'));
    await expect(first).rejects.toThrow('full');
    await soon();
    begun[1]?.resolve();
    await second;
    const third = rounds.join();
    await soon();
    begun[2]?.resolve();
    await third;
  });

  it('begin one after the other, never two at once, however many ask', async () => {
    let [underWay, most, rounds] = [0, 0, 0];
    const all = new Rounds(async () => {
      underWay += 1;
      rounds += 1;
      most = Math.max(most, underWay);
      await soon();
      underWay -= 1;
      if (rounds % 3 === 0) throw new Error('each third');
    });
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 200; i += 1) {
      calls.push(all.join().catch(() => undefined));
      if (i % 3 === 0) await soon();
    }
    await Promise.all(calls);
    expect(most).toBe(1);
    expect(rounds).toBeLessThan(100);
  });
});
