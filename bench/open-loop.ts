/**
 * A client that asks at a fixed rate, whatever becomes of the answers: latency counts from when a request was due, so that a
 * server that stops for a while cannot slow down who measures it. A process of its own: `openLoop`.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { z } from 'zod';

export type OpenLoop = {
  /** Resolves with the latencies since the last call, in milliseconds. */
  take(): Promise<number[]>;
  stop(): void;
};

const maxSockets = 200;

export function openLoop(url: string, requestsPerS: number): OpenLoop {
  const child = fork(import.meta.filename, [url, String(requestsPerS)]);
  return {
    async take() {
      child.send('take');
      const [latencies] = await once(child, 'message');
      return z.array(z.number()).parse(latencies);
    },
    stop: () => void child.kill(),
  };
}

function run(url: string, requestsPerS: number): void {
  const agent = new Agent({ keepAlive: true, maxSockets });
  let latenciesMs: number[] = [];
  const startedAt = performance.now();
  let sent = 0;
  setInterval(() => {
    for (;;) {
      const dueAt = startedAt + (sent * 1000) / requestsPerS;
      if (dueAt > performance.now()) return;
      sent += 1;
      get(url, { agent }, (response) => {
        response.resume().once('end', () => latenciesMs.push(performance.now() - dueAt));
      }).once('error', () => latenciesMs.push(Number.POSITIVE_INFINITY));
    }
  }, 1);
  process.on('message', () => {
    process.send?.(latenciesMs);
    latenciesMs = [];
  });
  process.on('disconnect', () => process.exit());
}

if (import.meta.main) run(process.argv[2] ?? '', Number(process.argv[3]));
