/** A conversation can always go on, whatever has become of its session. */

import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type AgentHost, startAgentHost } from '../support/agent-host.ts';

const lost = {
  'is gone': async (path: string) => rm(path),
  'is empty': async (path: string) => writeFile(path, ''),
  'is garbage': async (path: string) => writeFile(path, '\x00\x01 not json\n{"half": "an entr'),
  'cannot be read': async (path: string) => {
    await rm(path);
    await mkdir(path);
  },
  'lost all but its bookkeeping': async (path: string) => writeFile(path, '{"type":"last-prompt","lastPrompt":"x"}\n'),
};

for (const [how, lose] of Object.entries(lost)) {
  test(`a session whose transcript ${how} is begun afresh with the prompt that tells of the past`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
    const first = await host.run('first');
    await lose(await transcriptOf(host, first.sessionId));
    let asked = 0;
    const freshId = randomUUID();
    const fresh = { id: randomUUID(), text: 'all that was said, and the second' };

    const second = await host.run('second', {
      sessionId: first.sessionId,
      resume: true,
      freshSession: async () => {
        asked += 1;
        return { sessionId: freshId, prompt: fresh };
      },
    });

    expect(second.result).toMatchObject({ outcome: 'success', promptTaken: true });
    expect(second.result.freshBecause).toMatch(/transcript/);
    expect(second.result.sessionId).toBe(freshId);
    expect(asked).toBe(1);
    expect(host.model.requests()[1]?.raw).toContain(fresh.text);
    expect(await host.agent.heldPrompts(second.result.sessionId, [fresh.id])).toEqual(new Set([fresh.id]));

    const third = await host.run('third', { sessionId: second.result.sessionId, resume: true });
    expect(third.result).toMatchObject({ outcome: 'success', freshBecause: null });
  });
}

test('a session that the agent itself refuses is begun afresh in the same run', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const first = await host.run('first');
  // It looks like a message, but hangs on nothing.
  const entry = { type: 'user', message: null, uuid: randomUUID() };
  await writeFile(await transcriptOf(host, first.sessionId), `${JSON.stringify(entry)}\n`);

  const freshId = randomUUID();
  const fresh = { id: randomUUID(), text: 'told afresh: second' };

  const second = await host.run('second', {
    sessionId: first.sessionId,
    resume: true,
    freshSession: async () => ({ sessionId: freshId, prompt: fresh }),
  });

  expect(second.result).toMatchObject({ outcome: 'success', freshBecause: 'the agent found no conversation in it' });
  expect(second.result.sessionId).toBe(freshId);
  expect(await host.agent.heldPrompts(freshId, [fresh.id])).toEqual(new Set([fresh.id]));
  expect(second.events.map((event) => event.type)).toEqual(['message', 'text']);
  expect(host.model.requests().length).toBe(2);
  expect(host.model.requests()[1]?.raw).toContain('told afresh: second');
});

const damaged = {
  'its last line cut off': (text: string) => text.slice(0, -100),
  'zeros at its end': (text: string) => text + '\0'.repeat(4096),
  'a line of garbage in it': (text: string) => text.replace('\n', '\n%% not json\n'),
};

for (const [how, damage] of Object.entries(damaged)) {
  test(`a session whose transcript has ${how} goes on with what was said`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
    const first = await host.run('first');
    const path = await transcriptOf(host, first.sessionId);
    await writeFile(path, damage(await readFile(path, 'utf8')));

    const second = await host.run('second', { sessionId: first.sessionId, resume: true });

    expect(second.result).toMatchObject({ outcome: 'success', sessionId: first.sessionId, freshBecause: null });
    expect(host.model.requests()[1]?.raw).toContain('first');
  });
}

test('a volume whose sessions cannot be read fails the run, and the session is not begun afresh', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const first = await host.run('first');
  const projects = join(host.sessionsDir, 'projects');
  await rename(projects, `${projects}-away`);
  // What root cannot read either.
  await writeFile(projects, '');
  let asked = 0;
  const freshSession = async () => {
    asked += 1;
    return { sessionId: randomUUID(), prompt: { id: randomUUID(), text: 'afresh' } };
  };
  const again = { sessionId: first.sessionId, resume: true, freshSession };

  await expect(host.run('second', again)).rejects.toThrow('ENOTDIR');

  await rm(projects);
  await rename(`${projects}-away`, projects);
  const third = await host.run('third', again);
  expect(third.result).toMatchObject({ outcome: 'success', sessionId: first.sessionId, freshBecause: null });
  expect(asked).toBe(0);
});

test('a session that exists already is gone on with, though a new one was asked for', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const first = await host.run('first');

  const second = await host.run('second', { sessionId: first.sessionId, resume: false });

  expect(second.result).toMatchObject({ outcome: 'success', sessionId: first.sessionId, freshBecause: null });
  expect(host.model.requests()[1]?.raw).toContain('first');
});

test('a session goes on after its working directory has moved', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const first = await host.run('first');
  const projects = join(host.sessionsDir, 'projects');
  const [slug] = await readdir(projects);
  await rename(join(projects, String(slug)), join(projects, '-mnt-an-older-place'));

  const second = await host.run('second', { sessionId: first.sessionId, resume: true });

  expect(second.result).toMatchObject({ outcome: 'success', sessionId: first.sessionId, freshBecause: null });
  expect(host.model.requests()[1]?.raw).toContain('first');
  expect(await host.agent.heldPrompts(first.sessionId, [first.promptId, second.promptId])).toEqual(
    new Set([first.promptId, second.promptId]),
  );
});

test('a forgotten session leaves nothing of itself, and forgetting again is no error', async () => {
  await using host = await startAgentHost();
  const big = JSON.stringify({ command: 'seq 1 60000', description: 'Count' });
  host.model.mock.on(
    { userMessage: /count/, hasToolResult: false },
    {
      toolCalls: [
        { name: 'Bash', arguments: big },
        { name: 'TaskCreate', arguments: '{"subject":"a","description":"b"}' },
      ],
    },
  );
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  const kept = await host.run('another');
  const ran = await host.run('count');
  expect((await namesOf(host, ran.sessionId)).length).toBeGreaterThan(1);

  await host.agent.forget(ran.sessionId);
  await host.agent.forget(ran.sessionId);

  expect(await namesOf(host, ran.sessionId)).toEqual([]);
  expect(await host.agent.heldPrompts(ran.sessionId, [ran.promptId])).toEqual(new Set());
  expect(await host.agent.heldPrompts(kept.sessionId, [kept.promptId])).toEqual(new Set([kept.promptId]));
});

async function transcriptOf(host: AgentHost, sessionId: string): Promise<string> {
  const projects = join(host.sessionsDir, 'projects');
  for (const slug of await readdir(projects)) {
    if ((await readdir(join(projects, slug))).includes(`${sessionId}.jsonl`)) {
      return join(projects, slug, `${sessionId}.jsonl`);
    }
  }
  throw new Error(`no transcript of ${sessionId}`);
}

/** What is named after the session below the memory folder and among the CLI's temporary files. */
async function namesOf(host: AgentHost, sessionId: string): Promise<string[]> {
  // The processes of the tests have no TMPDIR.
  const temporary = `/tmp/claude-${process.getuid?.()}`;
  const names = await Promise.all([host.memoryDir, temporary].map((path) => readdir(path, { recursive: true })));
  return names.flat().filter((name) => name.includes(sessionId));
}
