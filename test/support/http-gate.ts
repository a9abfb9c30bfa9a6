/** Stands in front of the syncs; the next one after `hold` waits until the test lets it go on, or fail. */

export function makeGate() {
  let held: { arrived: () => void; passes: Promise<void> } | null = null;
  return {
    beforeSync: async () => {
      const waiting = held;
      held = null;
      waiting?.arrived();
      await waiting?.passes;
    },
    hold: () => {
      const [arrived, passes] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      held = { arrived: arrived.resolve, passes: passes.promise };
      return { arrived: arrived.promise, pass: passes.resolve, fail: () => passes.reject(new Error('ENOSPC')) };
    },
  };
}
