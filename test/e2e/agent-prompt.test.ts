/** What reaches the model: the prompt as written, the persona, the tools; and what never does. */

import { access, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { builtInTools } from '../../src/agent/tools.ts';
import { startAgentHost } from '../support/agent-host.ts';
import type { ModelRequest } from '../support/model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

for (const text of [
  '/clear',
  '/model claude-haiku-4-5',
  '/compact',
  '!ls',
  '#remember this',
  '@/etc/hostname',
  '/cost',
]) {
  test(`a prompt of ${text} is text to the model, and changes nothing`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /before/ }, { content: 'Before.' });
    host.model.mock.on({ userMessage: /.*/ }, { content: 'Only text.' });
    await writeFile(join(host.memoryDir, 'CLAUDE.md'), 'The persona of the test.');

    const before = await host.run('before');
    const ran = await host.run(text, { sessionId: before.sessionId, resume: true });

    expect(ran.result).toMatchObject({ outcome: 'success', sessionId: before.sessionId, model: before.result.model });
    const [first, second] = host.model.requests();
    expect(lastUserText(second)).toBe(text);
    expect(second?.raw).toContain('before');
    expect(first?.raw).toContain('The persona of the test.');
    expect(second?.raw).toContain('The persona of the test.');
  });
}

test('the tools sent to the model are our list and no others', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  for (const model of [null, 'claude-haiku-4-5', 'claude-sonnet-5']) await host.run('hello', { options: { model } });

  for (const request of host.model.requests()) {
    expect(request.body.tools?.map((tool) => tool.name).sort()).toEqual([...builtInTools].sort());
    // Nothing can be left running behind the answer.
    expect(request.raw).not.toContain('run_in_background');
  }
});

test('only the skills of the working directory are offered, and the attribution notices are not', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  await mkdir(join(host.sessionsDir, 'skills', 'greet'), { recursive: true });
  await writeFile(
    join(host.sessionsDir, 'skills', 'greet', 'SKILL.md'),
    '---\nname: greet\ndescription: Greets the visitor\n---\nSay hi.',
  );

  await host.run('hello');

  const raw = host.model.requests()[0]?.raw;
  const listed = raw?.match(/skills are available for use with the Skill tool:((?:\\n)+- [a-z-]+:[^\\]*)+/)?.[0];
  expect(listed?.match(/- [a-z-]+:/g)).toEqual(['- greet:']);
  expect(raw).not.toContain('Co-Authored-By');
  expect(raw).not.toContain('Generated with');
});

test('an MCP server named in the working directory is not connected', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const touched = join(host.memoryDir, 'touched');
  const server = { command: 'touch', args: [touched] };
  await writeFile(join(host.memoryDir, '.mcp.json'), JSON.stringify({ mcpServers: { planted: server } }));

  const ran = await host.run('hello');

  expect(ran.result.warnings).toEqual([]);
  await expect(access(touched)).rejects.toThrow('ENOENT');
});

test('no hook runs that stands in settings of the working directory or of the host’s user', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const places = { project: join(host.memoryDir, '.claude'), home: join(host.homeDir, '.claude') };
  for (const [name, dir] of Object.entries(places)) {
    await mkdir(dir, { recursive: true });
    const hook = { type: 'command', command: `touch ${join(host.memoryDir, `ran-${name}`)}` };
    await writeFile(join(dir, 'settings.json'), JSON.stringify({ hooks: { SessionStart: [{ hooks: [hook] }] } }));
  }

  await host.run('hello');

  const ran = (await readdir(host.memoryDir)).filter((name) => name.startsWith('ran-'));
  expect(ran).toEqual([]);
});

test('the organisation’s CLAUDE.md is appended, and an edit of it reaches a session that exists', async () => {
  const orgDir = await mkdtemp(join(tmpdir(), 'picoclaw-org-'));
  await writeFile(join(orgDir, 'CLAUDE.md'), 'First house rule.');
  await using host = await startAgentHost({ orgDir });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const first = await host.run('hello');
  await writeFile(join(orgDir, 'CLAUDE.md'), 'Second house rule.');
  await host.run('hello', { sessionId: first.sessionId, resume: true });
  await rm(orgDir, { recursive: true });
  await host.run('hello', { sessionId: first.sessionId, resume: true });

  const systems = host.model.requests().map((request) => JSON.stringify(request.body.system));
  expect(systems[0]).toMatch(/You are Claude Code.*First house rule\./);
  expect(systems[1]).toMatch(/You are Claude Code.*Second house rule\./);
  expect(systems[1]).not.toContain('First house rule.');
  expect(systems[2]).not.toContain('house rule');
});

test('the persona of the working directory is read afresh by a session that exists: edited, removed, written anew', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const path = join(host.memoryDir, 'CLAUDE.md');
  const states = ['First persona.', 'Second persona.', null, 'Third persona.'];

  let session: { sessionId: string; resume: boolean } | null = null;
  for (const state of states) {
    if (state === null) await rm(path);
    else await writeFile(path, state);
    const ran = await host.run('hello', session ?? {});
    expect(ran.result).toMatchObject({ outcome: 'success', freshBecause: null });
    session = { sessionId: ran.sessionId, resume: true };
  }

  // What was said stays as it was said; with each new prompt comes what has changed.
  const added = host.model.requests().map((request) => JSON.stringify(request.body.messages.findLast(isUser)));
  expect(added[0]).toContain('First persona.');
  expect(added[1]).toMatch(/each replaces its earlier copy.*Second persona\./);
  expect(added[1]).not.toContain('First persona.');
  expect(added[2]).toMatch(/no longer present.*CLAUDE\.md/);
  expect(added[3]).toContain('Third persona.');
});

const unreadable = {
  'is a folder': (path: string) => mkdir(path),
  'is a link to itself': (path: string) => symlink(path, path),
};

for (const [how, spoil] of Object.entries(unreadable)) {
  test(`a run is not begun without the organisation’s CLAUDE.md when that ${how}, and the log names it`, async () => {
    const orgDir = temporaryFolder();
    const path = join(orgDir, 'CLAUDE.md');
    await spoil(path);
    await using host = await startAgentHost({ orgDir });

    const ran = await host.run('hello');

    expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, promptTaken: false });
    expect(host.log.join('')).toContain(`${path} cannot be read`);
    expect(host.model.requests()).toEqual([]);
  });
}

test('an override replaces the preset and the organisation’s prompt, but not the persona', async () => {
  const orgDir = await mkdtemp(join(tmpdir(), 'picoclaw-org-'));
  await writeFile(join(orgDir, 'CLAUDE.md'), 'House rule.');
  await using host = await startAgentHost({ orgDir, systemPromptOverride: 'You answer in verse.' });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  await writeFile(join(host.memoryDir, 'CLAUDE.md'), 'The persona of the test.');

  await host.run('hello');
  await rm(orgDir, { recursive: true });

  const request = host.model.requests()[0];
  expect(JSON.stringify(request?.body.system)).toContain('You answer in verse.');
  expect(request?.raw).not.toContain('House rule.');
  expect(request?.raw).not.toContain('# Harness');
  expect(request?.raw).toContain('The persona of the test.');
});

test('an override that is edited between two runs reaches a session that exists', async () => {
  await using before = await startAgentHost({ systemPromptOverride: 'You answer in verse.' });
  before.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const { model, memoryDir } = before;
  await using after = await startAgentHost({ model, memoryDir, systemPromptOverride: 'You answer in prose.' });

  const { sessionId } = await before.run('hello');
  const second = await after.run('hello', { sessionId, resume: true });

  expect(second.result).toMatchObject({ outcome: 'success', sessionId, freshBecause: null });
  const systems = model.requests().map((request) => JSON.stringify(request.body.system));
  expect(systems[0]).toContain('You answer in verse.');
  expect(systems[1]).toContain('You answer in prose.');
  expect(systems[1]).not.toContain('verse');
});

test('nothing of the server’s environment reaches what the agent runs, save what programs need', async () => {
  const baseEnv = {
    PATH: process.env.PATH,
    HOME: tmpdir(),
    API_TOKEN: 'server-token',
    AWS_SECRET_ACCESS_KEY: 'cloud-secret',
    LC_TIME: 'de_DE',
  };
  await using host = await startAgentHost({ baseEnv });
  host.model.mock.on(
    { userMessage: /env/, hasToolResult: false },
    { toolCalls: [{ name: 'Bash', arguments: JSON.stringify({ command: 'env; date +%Z', description: 'See' }) }] },
  );
  host.model.mock.on({ userMessage: /env/, hasToolResult: true }, { content: 'Done.' });

  await host.run('env');

  const seen = host.model.requests()[1]?.raw;
  expect(seen).toContain('PATH=');
  expect(seen).toContain('LC_TIME=de_DE');
  expect(seen).toContain('TZ=Europe/Berlin');
  expect(seen).not.toContain('server-token');
  expect(seen).not.toContain('cloud-secret');
});

function isUser(message: { role: string }): boolean {
  return message.role === 'user';
}

function lastUserText(request: ModelRequest | undefined): unknown {
  const content = request?.body.messages.findLast(isUser)?.content;
  if (!Array.isArray(content)) return content;
  const last: unknown = content.at(-1);
  return typeof last === 'object' && last !== null && 'text' in last ? last.text : last;
}
