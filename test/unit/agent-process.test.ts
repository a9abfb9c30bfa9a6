/** One claude process, with a stand-in for the SDK in front of a real child: what it does with words that are nobody's. */

import type { Options, Query, SDKMessage, SpawnOptions, WarmQuery } from '@anthropic-ai/claude-agent-sdk';
import { expect, test } from 'vitest';
import { Inbox } from '../../src/agent/inbox.ts';
import { ClaudeProcess } from '../../src/agent/process.ts';

const sessionId = 'a0000000-0000-4000-8000-000000000000';
const result = { type: 'result', subtype: 'success', session_id: sessionId } as SDKMessage;
const status = { type: 'system', subtype: 'status', session_id: sessionId } as SDKMessage;

test('a process that speaks like in a turn when there is none is killed, and no turn hears of it', async () => {
  const { claude, said } = start();
  expect(await claude.ready).toBe(true);
  said.push(result);
  await claude.over;
  expect(claude.isFit).toBe(false);
  expect(await claude.next()).toBeNull();
  expect(await claude.end()).toBe('it was ended by SIGKILL');
});

test('what it says of itself between turns is no fault', async () => {
  const { claude, said } = start();
  await claude.ready;
  said.push(status);
  // Until it has been read.
  await new Promise((resolve) => setImmediate(resolve));
  claude.send(sessionId, { id: sessionId, text: 'hello' });
  said.push(result);
  expect(await claude.next()).toBe(result);
  claude.endTurn();
  expect(claude.isFit).toBe(true);
  await claude.end();
});

test('what it says after its result, before the turn is ended, is no other turn’s', async () => {
  const { claude, said } = start();
  await claude.ready;
  claude.send(sessionId, { id: sessionId, text: 'hello' });
  said.push(result);
  said.push(result);
  expect(await claude.next()).toBe(result);
  await new Promise((resolve) => setImmediate(resolve));
  claude.endTurn();
  await claude.over;
  expect(claude.isFit).toBe(false);
  await claude.end();
});

test('one that does not start says so, and leaves nothing', async () => {
  const claude = new ClaudeProcess(
    { startup: () => Promise.reject(new Error('no such program')), startMs: 1, exitMs: 1, changeMs: 1 },
    { options: {}, prefix: [] },
  );
  expect(await claude.ready).toBe(false);
  expect(claude.complaints).toBe('no such program');
  expect(await claude.end()).toBe('it was not started');
});

/** A child that sleeps, and whatever is said in its name until it is gone. */
function start() {
  const said = new Inbox<SDKMessage>();
  const startup = async ({ options }: { options: Options }) => {
    const signal = new AbortController().signal;
    const spawn: SpawnOptions = { command: 'sleep', args: ['1000'], env: {}, signal, cwd: '/' };
    const child = options.spawnClaudeCodeProcess?.(spawn);
    child?.once('exit', () => said.close());
    const query = Object.assign(said[Symbol.asyncIterator](), { close: () => child?.kill('SIGKILL') });
    return { query: () => query as unknown as Query, close: () => undefined } as unknown as WarmQuery;
  };
  const deps = { startup, startMs: 1_000, exitMs: 1, changeMs: 1_000 };
  return { claude: new ClaudeProcess(deps, { options: {}, prefix: [] }), said };
}
