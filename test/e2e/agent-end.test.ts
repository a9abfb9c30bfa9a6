/** However a run ends, it ends: in time, with no process left, and the session can go on. */

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AgentHost, startAgentHost } from '../support/agent-host.ts';
import { claudesOf, signalClaude, signalStarting, untilRunning } from '../support/agent-processes.ts';
import { until } from '../support/until.ts';

const unhandled: unknown[] = [];
const keep = (reason: unknown) => void unhandled.push(reason);
beforeAll(() => void process.on('unhandledRejection', keep));
afterAll(() => {
  process.off('unhandledRejection', keep);
  expect(unhandled).toEqual([]);
});

test('an abort while the model API is waited for ends the run as interrupted', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const hold = host.model.fault({ kind: 'hold' });
  const deadline = new AbortController();
  void hold.reached.then(() => deadline.abort());

  const ran = await host.run('hello', { signal: deadline.signal });

  expect(ran.result).toMatchObject({ outcome: 'interrupted', error: null, promptTaken: true });
  expect(await host.processes()).toEqual([]);
  await expectToGoOn(host, ran.sessionId);
});

test('an abort before the start leaves nothing behind, and the prompt is not taken', async () => {
  await using host = await startAgentHost();

  const ran = await host.run('hello', { signal: AbortSignal.abort() });

  expect(ran.result).toMatchObject({ outcome: 'interrupted', promptTaken: false, numTurns: 0 });
  expect(host.model.requests()).toEqual([]);
});

test('an abort at any moment of the start ends the run', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const seen = new AbortController();
  const running = host.run('hello', { signal: seen.signal });
  await until('a process is there', async () => (await host.processes()).length > 0);
  seen.abort();

  const ran = await running;

  expect(['interrupted', 'success']).toContain(ran.result.outcome);
  expect(await host.processes()).toEqual([]);
});

const detached = {
  'a child in a session of its own': 'setsid sleep 1000 & echo started; sleep 1000',
  'a child that ignores what it is told': `trap '' TERM INT HUP; setsid sh -c "trap '' TERM INT HUP; sleep 1000" & sleep 1000`,
  'a grandchild that was left behind': '(setsid sh -c "sleep 1000 & sleep 1000" &) ; sleep 1000',
};

for (const [what, command] of Object.entries(detached)) {
  test(`an abort during a tool with ${what} ends all of it`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /go on/ }, { content: 'Going on.' });
    host.model.mock.on({ userMessage: /run it/, hasToolResult: false }, { toolCalls: [bash(command)] });
    const deadline = new AbortController();
    const running = host.run('run it', { signal: deadline.signal });
    await untilRunning(host, 'sleep 1000', 2);
    deadline.abort();

    const ran = await running;

    expect(ran.result).toMatchObject({ outcome: 'interrupted', promptTaken: true, numTurns: 1 });
    expect(await host.processes()).toEqual([]);
    // The conversation goes on, though a tool call was cut in half.
    await expectToGoOn(host, ran.sessionId);
  });
}

test('what a tool left running in the background is ended with the run', async () => {
  await using host = await startAgentHost();
  const command = 'setsid nohup sleep 1000 >/dev/null 2>&1 & echo started';
  host.model.mock.on({ userMessage: /run it/, hasToolResult: false }, { toolCalls: [bash(command)] });
  host.model.mock.on({ userMessage: /run it/, hasToolResult: true }, { content: 'Started.' });

  const ran = await host.run('run it');

  expect(ran.result.outcome).toBe('success');
  expect(host.model.requests()[1]?.raw).toContain('started');
  expect(await host.processes()).toEqual([]);
});

test('a claude process that does not obey an interrupt is killed', async () => {
  await using host = await startAgentHost({ limits: { interruptMs: 200 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const hold = host.model.fault({ kind: 'hold' });
  const deadline = new AbortController();
  const prompt = { id: randomUUID(), text: 'hello' };
  const sessionId = randomUUID();
  void hold.reached.then(async () => {
    // The CLI asks the model first and writes its transcript a moment later.
    await until('the prompt is held', async () => (await host.agent.heldPrompts(sessionId, [prompt.id])).size > 0);
    await signalClaude(host, 'SIGSTOP');
    deadline.abort();
  });

  const ran = await host.run('hello', { prompt, sessionId, signal: deadline.signal });

  expect(ran.result).toMatchObject({ outcome: 'interrupted', promptTaken: true });
  expect(await host.processes()).toEqual([]);
  await expectToGoOn(host, ran.sessionId);
});

test('a claude process that is killed while the model is waited for tells truthfully whether the prompt was taken', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const hold = host.model.fault({ kind: 'hold' });
  void hold.reached.then(() => signalClaude(host, 'SIGKILL'));

  const ran = await host.run('hello');

  const held = await host.agent.heldPrompts(ran.sessionId, [ran.promptId]);
  expect(ran.result.promptTaken).toBe(held.has(ran.promptId));
  const next = await host.run('go on', { sessionId: ran.sessionId, resume: true });
  expect(next.result.outcome).toBe('success');
  expect(next.result.freshBecause === null).toBe(held.has(ran.promptId));
});

test('a claude process that is killed under the run fails it with the reason, and its tools go with it', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /go on/ }, { content: 'Going on.' });
  host.model.mock.on({ userMessage: /run it/, hasToolResult: false }, { toolCalls: [bash('setsid sleep 1000')] });
  const running = host.run('run it');
  await untilRunning(host, 'sleep 1000', 1);
  await signalClaude(host, 'SIGKILL');

  const ran = await running;

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, promptTaken: true });
  expect(ran.result.error?.detail).toContain('SIGKILL');
  expect(await host.processes()).toEqual([]);
  await expectToGoOn(host, ran.sessionId);
});

test('a claude process that is killed while it starts fails the run, and frees its place', async () => {
  await using host = await startAgentHost({ limits: { maxConcurrentStarts: 1 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const running = host.run('hello');
  await signalStarting(host, 'SIGKILL');

  const ran = await running;

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' } });
  expect((await host.run('hello')).result.outcome).toBe('success');
});

test('a start that hangs ends by its deadline, and frees its place', async () => {
  await using host = await startAgentHost({ limits: { maxConcurrentStarts: 1, startMs: 20_000 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const running = host.run('hello');
  await signalStarting(host, 'SIGSTOP');

  const ran = await running;

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, promptTaken: false });
  expect(await host.processes()).toEqual([]);
  expect((await host.run('hello')).result.outcome).toBe('success');
});

test('no more processes start at once than the limit says, and one that waits can be aborted', async () => {
  await using host = await startAgentHost({ limits: { maxConcurrentStarts: 1 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const impatient = new AbortController();
  const first = host.run('one');
  await signalStarting(host, 'SIGSTOP');
  const second = host.run('two');
  const third = host.run('three', { signal: impatient.signal });
  impatient.abort();

  const gaveUp = await third;
  expect(gaveUp.result).toMatchObject({ outcome: 'interrupted', promptTaken: false });
  expect((await claudesOf(host)).length).toBe(1);
  await signalClaude(host, 'SIGCONT');

  expect((await Promise.all([first, second])).map((ran) => ran.result.outcome)).toEqual(['success', 'success']);
  expect(host.model.requests().length).toBe(2);
});

test('a stop ends every run as interrupted, waiting ones too, and later runs do not start', async () => {
  await using host = await startAgentHost({ limits: { maxConcurrentStarts: 1 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const hold = host.model.fault({ kind: 'hold', times: 9 });
  const runs = [host.run('one'), host.run('two'), host.run('three')];
  await hold.reached;

  await host.agent.stop();
  await host.agent.stop();

  expect((await Promise.all(runs)).map((ran) => ran.result.outcome)).toEqual(Array(3).fill('interrupted'));
  expect(await host.processes()).toEqual([]);
  expect((await host.run('late')).result.outcome).toBe('interrupted');
});

test('an event is never told after the run has resolved', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'A text of some length, in many deltas.' });
  const stall = host.model.fault({ kind: 'stall', afterDeltas: 1 });
  const deadline = new AbortController();
  void stall.reached.then(() => deadline.abort());
  const ran = await host.run('hello', { signal: deadline.signal });
  const count = ran.events.length;
  stall.release();

  await host.run('another');

  expect(ran.events.length).toBe(count);
});

test('what the claude process says on stderr goes to the log without the credential, and not to the caller', async () => {
  const secret = 'sk-ant-very-secret';
  await using host = await startAgentHost({ credential: { kind: 'api_key', value: secret } });
  const hold = host.model.fault({ kind: 'hold' });
  void hold.reached.then(() => signalClaude(host, 'SIGKILL'));

  // The CLI notes on stderr that it does not know the model.
  const ran = await host.run('hello', { options: { model: `model-${secret}` } });

  expect(ran.result.error?.code).toBe('agent_failed');
  expect(JSON.stringify(ran.result.error)).not.toContain('unrecognized_model');
  expect(host.log.join('')).toContain('unrecognized_model');
  expect(host.log.join('')).toContain('model-[credential]');
  expect(host.log.join('')).not.toContain(secret);
});

test('a run whose working directory is gone fails with a reason, and frees its place', async () => {
  await using host = await startAgentHost({ limits: { maxConcurrentStarts: 1 } });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  await rm(host.memoryDir, { recursive: true });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, promptTaken: false });
  expect(ran.result.error?.detail).not.toContain(host.memoryDir);
  const logged = host.log.find((line) => line.includes('could not be prepared'));
  expect(logged).toContain('ENOENT');
  expect(logged).toContain(host.memoryDir);
  await mkdir(host.memoryDir);
  expect((await host.run('hello')).result.outcome).toBe('success');
});

test('a claude process dies with its host, even when the host is killed', async () => {
  await using host = await startAgentHost();
  const hold = host.model.fault({ kind: 'hold' });
  const script = fileURLToPath(new URL('../support/agent-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, host.model.url, host.memoryDir], { stdio: 'inherit' });
  await hold.reached;
  expect((await host.processes()).length).toBeGreaterThan(0);

  child.kill('SIGKILL');

  await until('no process is left', async () => (await host.processes()).length === 0);
  hold.release();
});

async function expectToGoOn(host: AgentHost, sessionId: string): Promise<void> {
  const next = await host.run('go on', { sessionId, resume: true });
  expect(next.result).toMatchObject({ outcome: 'success', error: null, sessionId, freshBecause: null });
}

function bash(command: string): { name: string; arguments: string } {
  return { name: 'Bash', arguments: JSON.stringify({ command, description: 'Run it' }) };
}
