/** What long lives of a server have shown (test/crash/soak.ts): processes that die while nobody looks, spares that are lost. */

import { getEventListeners } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { processFoldersIn } from '../../src/agent/process-folder.ts';
import { signalClaude } from '../support/agent-processes.ts';
import { startWarmHost } from '../support/agent-warm.ts';
import { until } from '../support/until.ts';

afterEach(() => vi.restoreAllMocks());

test('a process that dies between two runs is counted no more, and nothing of it is left', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('one');
  const folder = join(processFoldersIn('/tmp'), sessionId);
  expect(existsSync(folder)).toBe(true);

  await signalClaude(host, 'SIGKILL');
  await host.untilIdle(0);

  await until('its folder is gone', () => !existsSync(folder));
  expect(await host.run('two', { sessionId, resume: true })).toMatchObject({ text: 'Yes.' });
});

test('a spare that dies is replaced, and its session is nobody’s', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 } });
  await host.agent.keepSpares();
  await host.untilSpares(1);
  const [spare] = await host.claudes();

  await signalClaude(host, 'SIGKILL');

  await until('another spare is there', async () => {
    const claudes = await host.claudes();
    return host.agent.health().warm === 1 && claudes.length === 1 && claudes[0] !== spare;
  });
  const sessionId = host.agent.newSessionId();
  expect(readdirSync(processFoldersIn('/tmp'))).toContain(sessionId);
  expect(await host.run('hello', { sessionId })).toMatchObject({ text: 'Yes.' });
});

test('a spare that is still starting makes way for a run that starts a process of its own', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 } });
  await host.agent.keepSpares();
  const [spare] = await host.claudes();
  expect(host.agent.health()).toMatchObject({ warm: 0, processes: { starting: 1 } });

  expect(await host.run('hello')).toMatchObject({ text: 'Yes.', result: { outcome: 'success' } });

  await host.untilSpares(1);
  const claudes = await host.claudes();
  expect(claudes).toHaveLength(2);
  expect(claudes).not.toContain(spare);
});

test('where there was no room for a spare, the next conversation that misses one has it started', async () => {
  await using host = await startWarmHost({ warm: { spares: 1, maxProcesses: 1 } });
  await host.run('one');
  await host.agent.keepSpares();
  expect(host.agent.health().warm).toBe(0);
  await host.agent.letGo();

  host.agent.newSessionId();

  await host.untilSpares(1);
});

test('a run that is over is kept in memory by no listener', async () => {
  await using host = await startWarmHost();
  const any = vi.spyOn(AbortSignal, 'any');

  await host.run('one');

  const signals = any.mock.results.flatMap(({ value }) => (value instanceof AbortSignal ? [value] : []));
  expect(signals).not.toEqual([]);
  expect(signals.flatMap((signal) => getEventListeners(signal, 'abort'))).toEqual([]);
});
