/**
 * A session that the CLI compacts is archived, with the real claude process. Two things make it compact: an answer that
 * was counted as larger than the window, and a model API that finds the prompt too long.
 */

import { access, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ClaudeLimits } from '../../src/agent/limits.ts';
import type { Message } from '../../src/domain/conversation.ts';
import { renderPrompt } from '../../src/domain/prompt.ts';
import { type AgentHost, type RunInput, startAgentHost } from '../support/agent-host.ts';
import type { ModelRequest } from '../support/model.ts';
import { until } from '../support/until.ts';

const asksForSummary = (request: ModelRequest) => request.raw.includes('create a detailed summary of the conversation');
const tooLong = { kind: 'status', status: 400, error: 'invalid_request_error', message: 'prompt is too long' } as const;

test('when the window is full the conversation is archived whole, once for each time, and goes on', async () => {
  // 67,000 tokens fill it; the CLI takes no smaller window.
  await using host = await startHost({ compactWindow: 100_000 });
  const long = `${'A long story. '.repeat(1_000)}The end.`;
  const answer = `${'A long answer. '.repeat(1_000)}No more.`;
  answers(host, { [long]: answer, second: 'Two.', third: 'Three.', fourth: 'Four.' });

  const { sessionId, day } = await converse(host, [long, 'second']);
  expect(await archivesOf(host)).toEqual([]);
  await converse(host, ['third'], sessionId);
  const first = await archivesOf(host);
  await converse(host, ['fourth'], sessionId);
  const both = await archivesOf(host);

  expect(first).toHaveLength(1);
  expect(both).toHaveLength(2);
  const [archive = '', later = ''] = both.map(({ text }) => text);
  expect(both.map(({ name }) => name.slice(0, 20))).toEqual([`${day()}-A-long-st`, `${day()}-A-long-st`]);
  expect(first[0]?.text).toBe(archive);
  expect(archive).toContain(`- Session: ${sessionId}\n`);
  expect(archive).toContain('- Conversation: "conv-1"\n');
  const told = [long, answer, 'second', 'Two.'];
  expect(textsOf(archive)).toEqual([...told, 'third']);
  expect(textsOf(later)).toEqual([
    ...told,
    'third',
    'The session went on with a summary of the above.',
    'Three.',
    'fourth',
  ]);
  expect(host.log.join('')).not.toContain('long story');
});

test('a conversation that begins in Chinese has an archive with a Chinese name, which goes with it', async () => {
  await using host = await startHost();
  answers(host, { 你好: '好', '第二、再见': '再见', 第三: '三' });
  const { sessionId, day } = await converse(host, ['你好，世界！你今天怎么样？'.slice(0, 2), '第二、再见']);

  host.model.fault(tooLong);
  await converse(host, ['第三'], sessionId);

  const [archive] = await archivesOf(host);
  expect(archive?.name).toBe(`${day()}-你好.md`);
  expect(textsOf(archive?.text ?? '')).toEqual(['你好', '好', '第二、再见', '再见', '第三']);

  await host.agent.forgetArchives(['another-session']);
  expect(await archivesOf(host)).toHaveLength(1);
  await host.agent.forgetArchives([sessionId]);
  expect(await archivesOf(host)).toEqual([]);
});

test('what was said last is in it too, though the CLI has not written it down yet: the prompt, a tool and its result', async () => {
  await using host = await startHost();
  answers(host, { first: 'One.', second: 'Two.' });
  const command = "printf 'one\\n```\\ntwo'";
  const call = { name: 'Bash', arguments: JSON.stringify({ command, description: 'Tell' }) };
  host.model.mock.on({ userMessage: />use a tool</, hasToolResult: false }, { content: 'I will.', toolCalls: [call] });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Done.' });
  const { sessionId } = await converse(host, ['first', 'second']);

  host.model.fault({ ...tooLong, when: (request) => request.raw.includes('tool_result') });
  const ran = await converse(host, ['use a tool'], sessionId);

  expect(ran.text).toContain('Done.');
  const [archive] = await archivesOf(host);
  expect(archive?.text.slice(archive.text.indexOf('use a tool'))).toBe(
    'use a tool\n\n## [assistant]\n\nI will.\n' +
      `\n### [tool call] Bash\n\n\`\`\`\`json\n${JSON.stringify({ command, description: 'Tell' }, null, 2)}\n\`\`\`\`\n` +
      '\n### [tool result] Bash\n\n````\none\n```\ntwo\n````\n',
  );
});

const unwritable = {
  'is a file': (folder: string) => writeFile(folder, ''),
  // Where nobody may write, not even root.
  'is read-only': (folder: string) => symlink('/proc/self/fdinfo', folder),
};

for (const [how, spoil] of Object.entries(unwritable)) {
  test(`where the folder of the archives ${how}, the run succeeds, with a warning`, async () => {
    await using host = await startHost();
    answers(host, { first: 'One.', second: 'Two.', third: 'Three.' });
    await spoil(join(host.memoryDir, 'conversations'));
    const { sessionId } = await converse(host, ['first', 'second']);

    host.model.fault(tooLong);
    const ran = await converse(host, ['third'], sessionId, [expect.stringContaining('could not be archived')]);

    expect(ran.text).toBe('Three.');
    expect(host.log.join('')).toContain('the session is compacted, and not archived');
    const next = await host.run(prompt('second'), { sessionId, resume: true });
    expect(next.result).toMatchObject({ outcome: 'success', sessionId, freshBecause: null, warnings: [] });
  });
}

test('an attempt to compact that fails leaves no archive', async () => {
  await using host = await startHost();
  answers(host, { first: 'One.', second: 'Two.', third: 'Three.' });
  const { sessionId } = await converse(host, ['first', 'second']);

  host.model.fault(tooLong);
  const refused = host.model.fault({ ...tooLong, message: 'no summary today', when: asksForSummary, times: 99 });
  await host.run(prompt('third'), { sessionId, resume: true });
  await refused.reached;

  expect(await archivesOf(host)).toEqual([]);
  expect(host.log.join('')).not.toContain('archived');
});

test('the session of a subagent is compacted without an archive', async () => {
  await using host = await startHost({ compactWindow: 100_000 });
  const work = { description: 'Work', prompt: 'you are a worker', subagent_type: 'general-purpose' };
  const bash = { name: 'Bash', arguments: JSON.stringify({ command: 'true', description: 'Nothing' }) };
  host.model.mock.on(
    { userMessage: />delegate</, hasToolResult: false },
    { toolCalls: [{ name: 'Agent', arguments: JSON.stringify(work) }] },
  );
  host.model.mock.on({ userMessage: /you are a worker/, turnIndex: 0 }, { toolCalls: [bash] });
  host.model.mock.on({ userMessage: /you are a worker/, turnIndex: 1 }, { toolCalls: [bash], usage: full });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Done.' });

  const ran = await host.run(prompt('delegate'));

  expect(ran.result).toMatchObject({ outcome: 'success', warnings: [] });
  expect(host.model.requests().some(asksForSummary)).toBe(true);
  await expect(access(join(host.memoryDir, 'conversations'))).rejects.toThrow('ENOENT');
});

test('a run that is aborted while its session is archived ends, and leaves no half of an archive', async () => {
  await using host = await startHost({ transcriptMs: 60_000 });
  answers(host, { first: 'One.', second: 'Two.', third: 'Three.' });
  const { sessionId } = await converse(host, ['first', 'second']);
  const folder = join(host.memoryDir, 'conversations');
  const deadline = new AbortController();
  // What is being archived waits for an entry that never comes: the transcript is gone from under the CLI.
  host.model.fault(tooLong);
  const summary = host.model.fault({ kind: 'hold', when: asksForSummary });
  const running = host.run(prompt('third'), { sessionId, resume: true, signal: deadline.signal });
  await summary.reached;
  await replaceTranscript(host, sessionId, 'third');
  summary.release();
  await until('it is being archived', async () => {
    // A look takes its time, and so there is enough of it.
    await host.processes();
    return (await readdir(folder).catch(() => [])).length > 0;
  });
  deadline.abort();

  const ran = await running;

  expect(ran.result.outcome).toBe('interrupted');
  expect(await readdir(folder)).toEqual([]);
  expect(await host.processes()).toEqual([]);
});

/** More than the window. */
const full = { input_tokens: 90_000, output_tokens: 10 };

async function startHost(limits: Partial<ClaudeLimits> = {}): Promise<AgentHost> {
  const host = await startAgentHost({ timezone: 'Pacific/Kiritimati', limits });
  host.model.mock.on({ userMessage: /create a detailed summary/ }, { content: '<summary>All of it.</summary>' });
  return host;
}

/** Each answer is counted as if it filled the window. */
function answers(host: AgentHost, script: Record<string, string>): void {
  for (const [asked, content] of Object.entries(script)) {
    host.model.mock.on({ userMessage: new RegExp(`>${asked.slice(0, 100)}`) }, { content, usage: full });
  }
}

/** Runs these prompts one after another in one session. */
async function converse(host: AgentHost, texts: string[], sessionId?: string, warnings: unknown[] = []) {
  let session: RunInput = sessionId === undefined ? {} : { sessionId, resume: true };
  let text = '';
  for (const each of texts) {
    const ran = await host.run(prompt(each), { conversationId: 'conv-1', ...session });
    expect(ran.result).toMatchObject({ outcome: 'success', freshBecause: null, warnings });
    session = { sessionId: ran.sessionId, resume: true };
    text = ran.text;
  }
  const day = () => new Intl.DateTimeFormat('sv-SE', { timeZone: 'Pacific/Kiritimati' }).format();
  return { sessionId: session.sessionId ?? '', text, day };
}

function prompt(content: string): string {
  const message: Message = {
    id: 'msg-1',
    conversationId: 'conv-1',
    role: 'user',
    sender: 'u1',
    senderName: 'Ada',
    content,
    createdAt: new Date().toISOString(),
  };
  return renderPrompt({ timezone: 'UTC', messages: [message] });
}

/** In the order of their numbers. */
async function archivesOf(host: AgentHost): Promise<{ name: string; text: string }[]> {
  const folder = join(host.memoryDir, 'conversations');
  const names = (await readdir(folder).catch(() => [])).sort((a, b) => a.length - b.length);
  return await Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })));
}

/** What stands under the headings. */
function textsOf(archive: string): string[] {
  return archive
    .split(/^#{2,3} \[.*$/m)
    .slice(1)
    .map((text) => text.trim());
}

/** By an empty one, which the CLI goes on to write to by its name; once the prompt is in the old one, so that it never comes. */
async function replaceTranscript(host: AgentHost, sessionId: string, asked: string): Promise<void> {
  const [slug = ''] = await readdir(join(host.sessionsDir, 'projects'));
  const path = join(host.sessionsDir, 'projects', slug, `${sessionId}.jsonl`);
  await until('the prompt is in it', async () => {
    await host.processes();
    return (await readFile(path, 'utf8')).includes(`>${asked}`);
  });
  await writeFile(path, '');
}
