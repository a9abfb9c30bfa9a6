/** What the first request of an instance brings about: the app in any case, and the agent where it will want one. */

import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { checkFolders } from '../../src/config/folders.ts';
import { loadConfig } from '../../src/config.ts';
import { createRuntime } from '../../src/runtime.ts';
import { createEchoAgent } from '../crash/agent.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a POST /chat has the spares started, without anybody else asking for the agent', async () => {
  const { load, kept } = await start({});
  await load('POST', '/chat');
  await kept.promise;
});

test.each([
  ['GET', '/chat', {}],
  ['POST', '/task/check', {}],
  ['POST', '/chat', { WARM_SPARES: '0' }],
])('%s %s with %o loads the app alone', async (method, url, env) => {
  const { load, isKept } = await start(env);
  await load(method, url);
  expect(isKept()).toBe(false);
});

async function start(env: Record<string, string>) {
  const dir = temporaryFolder();
  const { config, faults } = loadConfig(
    {
      ANTHROPIC_API_KEY: 'key',
      HOST: '127.0.0.1',
      MEMORY_DIR: join(dir, 'memory'),
      STORE_DIR: join(dir, 'store'),
      LOCAL_DB_PATH: join(dir, 'messages.db'),
      ...env,
    },
    { isRoot: false, isTerminal: false, homeDir: null },
  );
  expect([...faults, ...(await checkFolders(config))]).toEqual([]);
  const kept = Promise.withResolvers<void>();
  let isKept = false;
  const runtime = await createRuntime({
    config,
    env: {},
    log: pino({ level: 'silent' }),
    requestStop: () => undefined,
    createAgent: (deps) => ({
      ...createEchoAgent(deps),
      keepSpares: async () => {
        isKept = true;
        kept.resolve();
      },
    }),
  });
  onTestFinished(async () => void (await runtime.stop()));
  const load = async (method: string, url: string) => {
    await runtime.app.load(Object.assign(new IncomingMessage(new Socket()), { method, url }));
  };
  return { load, kept, isKept: () => isKept };
}
