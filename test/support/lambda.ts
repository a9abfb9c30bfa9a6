/**
 * A stand-in for AWS Lambda with its Web Adapter, on loopback: what a server feels of such a platform.
 *
 *     await using lambda = createLambda({ app, dir: temporaryFolder(), model });
 *     const instance = await lambda.start();
 *     const { body } = await instance.invoke('POST', '/chat', { message: 'hello' });     // and all of it is frozen
 *
 * - An instance takes requests when `GET /health` has answered with less than 500, asked every 10 ms: so does the adapter.
 * - It works only while it answers. All of its processes stand still from the last byte on, until the next request.
 * - Each has a `/tmp` of its own; the volume is all that they share.
 */

import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type Frame, readFrames } from './frames.ts';
import { freePort } from './free-port.ts';
import { type Machine, startMachine } from './lambda-machine.ts';

/** What clients send, and the model API gets: in the environment of the function. */
export const secrets = { apiToken: 'test-token-0123456789', apiKey: 'sk-ant-test-0123456789' };

export type Answer = { status: number; headers: Headers; body: Record<string, unknown> };

export type Instance = {
  /** Everything that it has logged. */
  output(): string;
  /** The names of its processes. */
  processes(): string[];
  /** As the adapter passes it on: one at a time, and all is frozen after the last byte. */
  invoke(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<Answer>;
  /** POST /chat with `stream: true`, in the same way. */
  stream(body: object): AsyncGenerator<Frame, void>;
  /** The end that is announced: thawed, SIGTERM, and SIGKILL to what is there afterwards. */
  terminate(): Promise<Ending>;
  /** The end that is not. */
  cut(): Promise<void>;
};

export type Ending = {
  code: number;
  /** Whether it had ended by itself. */
  inTime: boolean;
  /** The names of processes that the server left. */
  left: string[];
};

export type Lambda = AsyncDisposable & {
  /** Has `store` and `memory`. */
  volume: string;
  /** Resolves when the adapter takes it for ready. */
  start(): Promise<Instance>;
};

export type LambdaInput = {
  /** Has `dist/` and `built-in-skills/`. */
  app: string;
  dir: string;
  /** Where the model API is. */
  model: { url: string };
  env?: Record<string, string>;
};

/** The platform's are 2 s, which the server is told of. More here: how busy this machine is must not decide what a test sees. */
const terminationMs = 20_000;

export function createLambda({ app, dir, model, env }: LambdaInput): Lambda {
  const volume = join(dir, 'volume');
  mkdirSync(volume);
  const machines: Machine[] = [];
  return {
    volume,
    start: async () => {
      const port = await freePort();
      const machine = await startMachine({
        app,
        volume,
        tmp: mkdtempSync(join(dir, 'tmp-')),
        // No HOME, and nothing of the test's own.
        env: {
          PATH: '/usr/local/bin:/usr/bin:/bin',
          TZ: 'UTC',
          HOST: '127.0.0.1',
          PORT: String(port),
          LOG_FORMAT: 'json',
          API_TOKEN: secrets.apiToken,
          ANTHROPIC_API_KEY: secrets.apiKey,
          ANTHROPIC_BASE_URL: model.url,
          SHUTDOWN_GRACE_MS: '1500',
          ...env,
        },
      });
      machines.push(machine);
      return startInstance(machine, `http://127.0.0.1:${port}`);
    },
    [Symbol.asyncDispose]: async () => {
      for (const machine of machines) await machine.cut();
    },
  };
}

async function startInstance(machine: Machine, url: string): Promise<Instance> {
  let output = '';
  for (const stream of [machine.stdout, machine.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      output += `${line}\n`;
    });
  let isOver = false;
  void machine.exited.then(() => {
    isOver = true;
  });
  while (!(await isReady(url))) {
    if (isOver) throw new Error(`the instance has ended before it was ready:\n${output}`);
    await sleep(readinessIntervalMs);
  }

  let isBusy = false;
  let isEnding = false;
  const takeTurn = () => {
    if (isBusy) throw new Error('an instance has one request at a time');
    isBusy = true;
  };
  const begin = (method: string, path: string, body?: object) => {
    machine.thaw();
    return fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${secrets.apiToken}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  };
  const end = async () => {
    if (!isOver && !isEnding) await machine.freeze();
  };
  return {
    output: () => output,
    processes: machine.processes,
    invoke: async (method, path, body) => {
      takeTurn();
      try {
        const response = await begin(method, path, body);
        const text = await response.text();
        await end();
        const json = z.record(z.string(), z.unknown()).parse(JSON.parse(text));
        return { status: response.status, headers: response.headers, body: json };
      } finally {
        isBusy = false;
      }
    },
    async *stream(body) {
      takeTurn();
      try {
        yield* readFrames(await begin('POST', '/chat', { ...body, stream: true }));
        await end();
      } finally {
        isBusy = false;
      }
    },
    terminate: async () => {
      isEnding = true;
      machine.thaw();
      machine.signal('SIGTERM');
      const timer = new AbortController();
      const code = await Promise.race([
        machine.exited,
        sleep(terminationMs, null, { signal: timer.signal }).catch(() => null),
      ]);
      timer.abort();
      const left = machine.processes();
      await machine.cut();
      return { code: code ?? (await machine.exited), inTime: code !== null, left };
    },
    cut: machine.cut,
  };
}

/** The adapter's, as are the statuses that are good enough. */
const readinessIntervalMs = 10;
const firstBadStatus = 500;

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.arrayBuffer();
    return response.status < firstBadStatus;
  } catch {
    return false;
  }
}
