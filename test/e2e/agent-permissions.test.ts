/** One conversation cannot reach another's session with the file tools, and keeps its own large results. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { type AgentHost, startAgentHost } from '../support/agent-host.ts';
import { asCall, obey } from '../support/obedient-model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('transcripts and results of another session cannot be read, searched, found or written', async () => {
  await using host = await startAgentHost({ warm: oneKept });
  const { transcript, result } = await converse(host);
  const before = await readFile(transcript, 'utf8');
  const projects = join(host.sessionsDir, 'projects');
  await mkdir(join(host.sessionsDir, 'sessions'), { recursive: true });
  await writeFile(join(host.sessionsDir, 'sessions', 'x'), 'the word is xyzzy');
  const attempts: Record<string, [string, object]> = {
    'read the transcript': ['Read', { file_path: transcript }],
    'read it by a relative path': ['Read', { file_path: transcript.slice(host.memoryDir.length + 1) }],
    'read it by a detour': ['Read', { file_path: transcript.replace('/.claude/', '/x/../.claude/') }],
    'read a result': ['Read', { file_path: result, limit: 2 }],
    'search the projects': ['Grep', { pattern: 'xyzzy|59999', path: projects, output_mode: 'content' }],
    'search everything': ['Grep', { pattern: 'xyzzy|59999', path: host.memoryDir, output_mode: 'content' }],
    'find the files': ['Glob', { pattern: '**/*.jsonl', path: projects }],
    'overwrite the transcript': ['Write', { file_path: transcript, content: 'gone' }],
    'edit the transcript': ['Edit', { file_path: transcript, old_string: 'xyzzy', new_string: 'gone' }],
    'read the token of a live process': ['Read', { file_path: join(host.sessionsDir, 'sessions', 'x') }],
    'write local settings': [
      'Write',
      { file_path: join(host.memoryDir, '.claude/settings.local.json'), content: '{}' },
    ],
    'write settings with hooks': ['Write', { file_path: join(host.memoryDir, '.claude/settings.json'), content: '{}' }],
  };

  const ask = inOneSession(host);
  for (const [what, [name, input]] of Object.entries(attempts)) {
    const seen = await ask(what, name, input);
    expect(seen, what).toMatch(/denied|No (files|matches) found/);
    expect(seen, what).not.toMatch(/the word is xyzzy|\\n59999|[0-9a-f-]{36}\.jsonl(?! has been denied)/);
  }
  // Its own process adds to it when it ends.
  expect((await readFile(transcript, 'utf8')).startsWith(before)).toBe(true);
  expect((await readdir(host.sessionsDir)).filter((name) => name.startsWith('settings'))).toEqual([]);
});

test('a session reads its own large results, and the agent writes its persona and skills', async () => {
  await using host = await startAgentHost();
  const { sessionId, result } = await converse(host);

  expect(await resultOf(host, 'read it', 'Read', { file_path: result, limit: 2 }, sessionId)).toContain('1\\t1');
  const persona = { file_path: join(host.memoryDir, 'CLAUDE.md'), content: 'Me.' };
  expect(await resultOf(host, 'write the persona', 'Write', persona)).toContain('created successfully');
  const skill = { file_path: join(host.sessionsDir, 'skills', 'greet', 'SKILL.md'), content: 'Say hi.' };
  expect(await resultOf(host, 'write a skill', 'Write', skill)).toContain('created successfully');
});

test('of what is hidden the file tools read nothing, whatever its name', async () => {
  const names = ['plain', 'a[b]c', 'a b', 'a(b)', 'a?b', 'a\\b', '!a', 'a{b,c}'];
  // Each in a folder of its own: the rule of one must not cover another.
  const hidden = names.map((name) => join(temporaryFolder(), name));
  await using host = await startAgentHost({ warm: oneKept, hidden });
  const ask = inOneSession(host);
  for (const [index, folder] of hidden.entries()) {
    await mkdir(folder);
    await writeFile(join(folder, 'a.txt'), 'the word is xyzzy');
    const seen = await ask(`read number ${index}`, 'Read', { file_path: join(folder, 'a.txt') });
    expect(seen, folder).toContain('denied');
    expect(seen, folder).not.toContain('xyzzy');
  }
});

test('a skill that an agent has written is one, and brings no hooks, agents or commands into later runs', async () => {
  await using host = await startAgentHost();
  obey(host.model);
  const acted = join(host.homeDir, 'acted');
  const skill = join(host.sessionsDir, 'skills', 'greet');
  const hook = { type: 'command', command: `echo a hook >> ${acted}` };
  const written = {
    'SKILL.md': `---\ndescription: How to greet\nhooks: ${JSON.stringify({ PreToolUse: [{ hooks: [hook] }] })}\n---\nSay hi.`,
    '.claude-plugin/plugin.json': JSON.stringify({ name: 'greet', version: '1.0.0', description: 'A plugin' }),
    'hooks/hooks.json': JSON.stringify({
      hooks: { SessionStart: [{ hooks: [hook] }], UserPromptSubmit: [{ hooks: [hook] }], Stop: [{ hooks: [hook] }] },
    }),
    'agents/spy.md': '---\nname: spy\ndescription: A spy of the skill\n---\nSpy.',
    'commands/pry.md': '---\ndescription: A pry of the skill\n---\nPry.',
  };
  for (const [name, text] of Object.entries(written)) {
    await mkdir(dirname(join(skill, name)), { recursive: true });
    await writeFile(join(skill, name), text);
  }

  const { sessionId } = await host.run(asCall('Skill', { skill: 'greet' }));
  await host.run('run: echo with a tool', { sessionId, resume: true });

  const last = host.model.requests().at(-1)?.raw;
  expect(last).toContain('Say hi.');
  expect(last).toContain('with a tool');
  expect(last).not.toMatch(/A spy of the skill|A pry of the skill/);
  expect(await readFile(acted, 'utf8').catch(() => 'nothing')).toBe('nothing');
});

/** A session with a word in its transcript and a tool result too large to be kept in it. */
async function converse(host: AgentHost): Promise<{ sessionId: string; transcript: string; result: string }> {
  const call = { name: 'Bash', arguments: JSON.stringify({ command: 'seq 1 60000', description: 'Count' }) };
  host.model.mock.on({ userMessage: /the word is/, hasToolResult: false }, { toolCalls: [call] });
  host.model.mock.on({ userMessage: /the word is/, hasToolResult: true }, { content: 'Noted.' });
  const { sessionId } = await host.run('the word is xyzzy');
  const names = await readdir(host.sessionsDir, { recursive: true });
  const find = (pattern: RegExp) => join(host.sessionsDir, names.find((name) => pattern.test(name)) ?? 'not there');
  return {
    sessionId,
    transcript: find(new RegExp(`${sessionId}\\.jsonl$`)),
    result: find(new RegExp(`${sessionId}/tool-results/.+`)),
  };
}

/** One process for all that is asked one after another. */
const oneKept = { spares: 0, conversations: 1, idleMs: 60_000, maxProcesses: 2 };

function inOneSession(host: AgentHost): (what: string, name: string, input: object) => Promise<string> {
  let sessionId: string | undefined;
  return async (what, name, input) => {
    const seen = await ask(host, { what, name, input, sessionId });
    sessionId = seen.sessionId;
    return seen.result;
  };
}

/** What the model was told of a tool call that it made, as JSON. */
async function resultOf(
  host: AgentHost,
  what: string,
  name: string,
  input: object,
  sessionId?: string,
): Promise<string> {
  return (await ask(host, { what, name, input, sessionId })).result;
}

type Asked = { what: string; name: string; input: object; sessionId: string | undefined };

async function ask(
  host: AgentHost,
  { what, name, input, sessionId }: Asked,
): Promise<{ result: string; sessionId: string }> {
  const userMessage = new RegExp(`${what}$`);
  host.model.mock.on(
    { userMessage, hasToolResult: false },
    { toolCalls: [{ name, arguments: JSON.stringify(input) }] },
  );
  host.model.mock.on({ userMessage, hasToolResult: true }, { content: 'Seen.' });
  const ran = await host.run(what, sessionId ? { sessionId, resume: true } : {});
  expect(ran.text).toBe('Seen.');
  const answer = host.model
    .requests()
    .at(-1)
    ?.body.messages.findLast((message) => JSON.stringify(message).includes('tool_use_id'));
  return { result: JSON.stringify(answer), sessionId: ran.sessionId };
}
