/** An agent whose runs wait for what they need, but not for ever: not beyond their own end, nor beyond a limit. */

import type { Agent } from './agent.ts';

export type WaitDeps = {
  /** Never rejects. */
  ready: () => Promise<unknown>;
  /** After this long a run begins without it. */
  maxWaitMs: number;
};

export function waitFor(agent: Agent, { ready, maxWaitMs }: WaitDeps): Agent {
  return {
    ...agent,
    expect: (run) => void ready().then(() => agent.expect(run)),
    run: async (request, onEvent) => {
      await until(ready(), { signal: request.signal, maxWaitMs });
      return agent.run(request, onEvent);
    },
  };
}

function until(ready: Promise<unknown>, { signal, maxWaitMs }: { signal: AbortSignal; maxWaitMs: number }) {
  return new Promise<void>((resolve) => {
    const go = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', go);
      resolve();
    };
    const timer = setTimeout(go, maxWaitMs);
    signal.addEventListener('abort', go);
    if (signal.aborted) go();
    void ready.then(go);
  });
}
