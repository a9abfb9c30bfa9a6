/** Processes outlive their runs: what a run finds ready, what it is never given, and what becomes of a process that misbehaves. */

import { mkdir, readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { runOptions, startAgentHost } from '../support/agent-host.ts';
import { hasSandbox, startWarmHost } from '../support/agent-warm.ts';
import { lastResult } from '../support/obedient-model.ts';
import { until } from '../support/until.ts';

test('the next run of a conversation is worked on by the process of the one before', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('one');
  const before = await host.claudes();
  const ran = await host.run('two', { sessionId, resume: true });

  expect(before).toHaveLength(1);
  expect(await host.claudes()).toEqual(before);
  expect(ran).toMatchObject({ text: 'Yes.', result: { outcome: 'success', promptTaken: true, replyKept: true } });
  const [, second] = host.model.requests();
  expect(second?.raw).toContain('one');
  // One message was added, and the answer before it.
  expect(second?.body.messages.filter(({ role }) => role === 'user')).toHaveLength(2);
});

test('a new conversation takes a spare, and another spare is made', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 } });
  await host.agent.keepSpares();
  await host.untilSpares(1);
  const [spare] = await host.claudes();

  const sessionId = host.agent.newSessionId();
  const ran = await host.run('hello', { sessionId });

  expect(ran).toMatchObject({ text: 'Yes.', sessionId, result: { outcome: 'success' } });
  await host.untilSpares(1);
  const claudes = await host.claudes();
  expect(claudes).toHaveLength(2);
  expect(claudes).toContain(spare);
  // Each spare is promised to one conversation.
  const ids = [host.agent.newSessionId(), host.agent.newSessionId()];
  expect(new Set([sessionId, ...ids]).size).toBe(3);
});

test('a spare that was promised and never asked for is ended, and not given to another conversation', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 }, limits: { promiseMs: 1 } });
  await host.agent.keepSpares();
  await host.untilSpares(1);
  const [spare] = await host.claudes();

  const promised = host.agent.newSessionId();

  await until('another spare is there', async () => {
    const claudes = await host.claudes();
    return host.agent.health().warm === 1 && !claudes.includes(spare ?? 0);
  });
  expect(host.agent.newSessionId()).not.toBe(promised);
  // Whoever was told of it has its session all the same.
  expect(await host.run('late', { sessionId: promised })).toMatchObject({ sessionId: promised, text: 'Yes.' });
});

test('a run that is expected finds its process started', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('one');
  await host.agent.letGo();
  expect(await host.claudes()).toEqual([]);

  host.agent.expect({ sessionId, resume: true, options: runOptions });
  await host.untilIdle(1);
  const [expected] = await host.claudes();
  const ran = await host.run('two', { sessionId, resume: true });

  expect(ran.text).toBe('Yes.');
  expect(await host.claudes()).toEqual([expected]);
});

test('of more conversations than may be kept, the one unused for longest has its process ended', async () => {
  await using host = await startWarmHost({ warm: { conversations: 2 } });
  const [a, b, c] = [await host.run('a'), await host.run('b'), await host.run('c')];
  await host.untilIdle(2);
  await until('one is gone', async () => (await host.claudes()).length === 2);
  const before = await host.claudes();

  await host.run('b again', { sessionId: b?.sessionId ?? '', resume: true });
  await host.run('c again', { sessionId: c?.sessionId ?? '', resume: true });
  expect((await host.claudes()).sort()).toEqual(before.sort());

  // It goes on all the same.
  expect((await host.run('a at last', { sessionId: a?.sessionId ?? '', resume: true })).text).toBe('Yes.');
});

test('where all the room is taken, idle processes make way and a run without room waits for its turn', async () => {
  await using host = await startWarmHost({ warm: { maxProcesses: 2, conversations: 2 } });
  await host.run('one');
  await host.run('two');
  const hold = host.model.fault({ kind: 'hold', times: 2 });

  const runs = ['three', 'four', 'five'].map((text) => host.run(text));
  await hold.reached;
  await until('one waits for room', () => host.agent.health().processes.waiting === 1);
  expect((await host.claudes()).length).toBeLessThanOrEqual(2);
  hold.release();

  expect((await Promise.all(runs)).map(({ text }) => text)).toEqual(['Yes.', 'Yes.', 'Yes.']);
  expect((await host.claudes()).length).toBeLessThanOrEqual(2);
});

test('a process that is not used for a while is ended', async () => {
  await using host = await startWarmHost({ warm: { idleMs: 1 } });
  await host.run('hello');
  await host.untilIdle(0);
  await until('it is gone', async () => (await host.processes()).length === 0);
});

test('a process that dies while it is idle costs no run', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('one');
  const [pid = 0] = await host.claudes();
  process.kill(pid, 'SIGKILL');
  await until('it is dead', async () => !(await host.claudes()).includes(pid));

  const ran = await host.run('two', { sessionId, resume: true });

  expect(ran).toMatchObject({ text: 'Yes.', result: { outcome: 'success', freshBecause: null } });
  expect(host.model.requests()[1]?.raw).toContain('one');
});

test('a process that is stopped while it is idle costs one run, and the next one works', async () => {
  await using host = await startWarmHost({ limits: { firstMessageMs: 10_000, interruptMs: 100 } });
  const { sessionId } = await host.run('one');
  const [pid = 0] = await host.claudes();
  process.kill(pid, 'SIGSTOP');

  const lost = await host.run('two', { sessionId, resume: true });
  const next = await host.run('three', { sessionId, resume: true });

  expect(lost.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' } });
  expect(next).toMatchObject({ text: 'Yes.', result: { outcome: 'success' } });
});

test('what a tool left running is ended with the run, and the process goes on', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('run: sleep 4711 >&- 2>&- &');
  expect(await host.processes()).toEqual([expect.objectContaining({ command: expect.stringContaining('claude') })]);
  const before = await host.claudes();
  await host.run('two', { sessionId, resume: true });
  expect(await host.claudes()).toEqual(before);
});

test.for([
  ['wipes its environment', ''],
  ['wipes its environment in namespaces of its own', 'unshare -Upf '],
])('a process that %s does not outlive its run in the sandbox', async ([, prefix], { skip }) => {
  if (!(await hasSandbox())) skip('there is no sandbox on this machine');
  await using host = await startWarmHost({ sandbox: 'on' });
  const seconds = String(100_000 + process.pid);
  const { sessionId } = await host.run(
    `run: env -i ${prefix}setsid /bin/sleep ${seconds} >&- 2>&- & until pgrep -f "^/bin/sleep ${seconds}" >/dev/null; do sleep 0.05; done; echo is-there-$((40+2))`,
  );
  expect(lastResult(host.model)).toContain('is-there-42');
  expect(await pidsOf(seconds)).toEqual([]);
  const before = await host.claudes();
  await host.run('two', { sessionId, resume: true });
  expect(await host.claudes()).toEqual(before);
});

test('a deleted session has no process, and its transcript does not come back', async () => {
  await using host = await startWarmHost();
  const { sessionId, promptId } = await host.run('hello');
  await host.agent.forget(sessionId);
  expect(await host.claudes()).toEqual([]);
  expect(await host.agent.heldPrompts(sessionId, [promptId])).toEqual(new Set());
});

test('a conversation that another instance may have gone on with is read afresh', async () => {
  await using host = await startWarmHost();
  const { sessionId } = await host.run('one');
  await host.agent.letGo();
  {
    await using other = await startAgentHost({ model: host.model, memoryDir: host.memoryDir });
    await other.run('said elsewhere', { sessionId, resume: true });
    await mkdir(host.homeDir, { recursive: true });
    await host.run('two', { sessionId, resume: true });
  }
  expect(host.model.requests()[2]?.raw).toContain('said elsewhere');
});

test('after a freeze of all its processes, idle or at work, everything goes on', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 }, limits: { silenceMs: 20_000 } });
  await host.agent.keepSpares();
  await host.untilSpares(1);
  const { sessionId } = await host.run('one');
  const stall = host.model.fault({ kind: 'stall', afterDeltas: 0 });
  const running = host.run('two', { sessionId, resume: true });
  await stall.reached;
  const pids = (await host.processes()).map(({ pid }) => pid);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  stall.release();
  for (const pid of pids) process.kill(pid, 'SIGCONT');

  expect((await running).text).toBe('Yes.');
  expect((await host.run('three', { sessionId, resume: true })).text).toBe('Yes.');
  expect((await host.run('new', { sessionId: host.agent.newSessionId() })).text).toBe('Yes.');
});

test('a stop leaves no process, kept or spare, and starts none', async () => {
  const host = await startWarmHost({ warm: { spares: 2 } });
  await host.agent.keepSpares();
  await host.run('one');
  await host.run('two');
  await host.agent.stop();
  expect(await host.processes()).toEqual([]);
  expect((await host.run('three')).result.outcome).toBe('interrupted');
  expect(await host.processes()).toEqual([]);
  await host[Symbol.asyncDispose]();
});

test('a tool that is called when the run is over acts for nobody', async () => {
  const contexts: unknown[] = [];
  await using host = await startWarmHost({
    toolServer: async (current) => {
      contexts.push(current);
      const { McpServer } = await import('@modelcontextprotocol/sdk/server/mcp.js');
      return new McpServer({ name: 'tools', version: '1.0.0' });
    },
  });
  await host.run('one');
  const [current] = contexts;
  expect(typeof current === 'function' ? current() : 'not there').toBeNull();
});

const planted = {
  settings: `printf '%s' '{"env":{"PLANTED":"yes"}}' > "$CLAUDE_CONFIG_DIR/settings.json"`,
  // It is looked at again when the working directory changes.
  'what is run before each command':
    'echo export PLANTED=yes > $CLAUDE_CONFIG_DIR/session-env/$CLAUDE_CODE_SESSION_ID/sessionstart-hook-0.sh; cd /usr',
};

for (const sandbox of ['off', 'on'] as const) {
  for (const [what, command] of Object.entries(planted)) {
    test.skipIf(sandbox === 'on' && !(await hasSandbox()))(
      `what an agent writes into the configuration of its process is not in force in the next run: ${what}, sandbox ${sandbox}`,
      async () => {
        await using host = await startWarmHost({ sandbox });
        const { sessionId } = await host.run(`run: ${command}`);
        await host.run('run: echo PLANTED is $PLANTED.', { sessionId, resume: true });

        expect(host.model.requests().at(-1)?.raw).toContain('PLANTED is .');
      },
    );
  }
}

async function pidsOf(argument: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.filter((line) => line.split('\0').includes(argument));
}
