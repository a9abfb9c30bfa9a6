/** The archive of a transcript: what it tells, under which name, and that it never harms another file. */

import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { readLine } from '../../src/agent/archive/entries.ts';
import { makeEntryRenderer } from '../../src/agent/archive/markdown.ts';
import { firstMessageOf, toArchiveStem } from '../../src/agent/archive/name.ts';
import { type ArchiveInput, archiveTranscript } from '../../src/agent/archive/write.ts';
import type { Message } from '../../src/domain/conversation.ts';
import { renderPrompt } from '../../src/domain/prompt.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const at = '2026-11-22T23:30:00.000Z';
const timezone = 'Asia/Shanghai';

const message: Message = {
  id: 'msg-1',
  conversationId: 'conv-1',
  role: 'user',
  sender: 'u1',
  senderName: 'Ada',
  content: 'Hello',
  createdAt: at,
};

describe('the entries of a transcript', () => {
  const user = { type: 'user', uuid: 'u', timestamp: at, isSidechain: false };
  const assistant = { type: 'assistant', uuid: 'a', timestamp: at, isSidechain: false };
  const say = (text: string) => ({ model: 'claude-test', content: [{ type: 'text', text }] });
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };

  const told: [string, object, object[]][] = [
    ['a prompt', { ...user, message: { content: 'hi' } }, [{ kind: 'user', at, text: 'hi' }]],
    ['an answer', { ...assistant, message: say('ho') }, [{ kind: 'assistant', text: 'ho' }]],
    [
      'text, a picture and a document, as one',
      {
        ...user,
        message: {
          content: [{ type: 'text', text: 'see' }, image, { type: 'document', source: { type: 'url' } }],
        },
      },
      [{ kind: 'user', at, text: 'see\n\n[image: image/png]\n\n[document]' }],
    ],
    [
      'a tool call after text, without the thinking',
      {
        ...assistant,
        message: {
          content: [
            { type: 'thinking', thinking: 'hm' },
            { type: 'text', text: 'I look' },
            { type: 'tool_use', id: 't', name: 'Bash', input: { command: 'ls' } },
          ],
        },
      },
      [
        { kind: 'assistant', text: 'I look' },
        { kind: 'tool_call', id: 't', name: 'Bash', input: { command: 'ls' } },
      ],
    ],
    [
      'a result in parts',
      {
        ...user,
        message: {
          content: [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'x' }, image] }],
        },
      },
      [{ kind: 'tool_result', callId: 't', isError: false, text: 'x\n[image: image/png]' }],
    ],
    [
      'a result that is an error',
      { ...user, message: { content: [{ type: 'tool_result', tool_use_id: 't', content: 'no', is_error: true }] } },
      [{ kind: 'tool_result', callId: 't', isError: true, text: 'no' }],
    ],
    [
      'a kind of block that nobody knows yet',
      { ...assistant, message: { content: [{ type: 'novel', of: 1 }] } },
      [{ kind: 'assistant', text: '{"type":"novel","of":1}' }],
    ],
    [
      'that it was compacted',
      { type: 'system', subtype: 'compact_boundary', uuid: 's', timestamp: at },
      [{ kind: 'compacted', at }],
    ],
  ];
  for (const [what, line, entries] of told) {
    test(`tell of ${what}`, () => {
      expect(readLine(JSON.stringify(line))?.entries).toEqual(entries);
    });
  }

  const silent: [string, object][] = [
    ['a subagent’s talk', { ...assistant, isSidechain: true, message: say('x') }],
    ['a reminder', { ...user, isMeta: true, message: { content: 'x' } }],
    ['a summary', { ...user, isCompactSummary: true, message: { content: 'x' } }],
    ['what the CLI says for the model', { ...assistant, message: { ...say('x'), model: '<synthetic>' } }],
    ['bookkeeping', { type: 'api-request-blob', message: { role: 'user', content: 'x' } }],
    ['a text without anything in it', { ...assistant, message: say('') }],
  ];
  for (const [what, line] of silent) {
    test(`do not tell of ${what}`, () => expect(readLine(JSON.stringify(line))?.entries).toEqual([]));
  }

  test('have the id by which the CLI told us of them', () => {
    expect(readLine(JSON.stringify({ ...user, isMeta: true, message: { content: 'x' } }))?.id).toBe('u');
    expect(readLine('{"type":"mode"}')?.id).toBe(null);
    expect(readLine('{"type":"us')).toBe(null);
  });
});

describe('the text of an archive', () => {
  const render = (...entries: Parameters<ReturnType<typeof makeEntryRenderer>>[0][]) =>
    entries.map(makeEntryRenderer(timezone)).join('');

  test('has each message with its sender and its time', () => {
    const later = { ...message, senderName: 'Bob\nthe second', content: 'a\n\n<b>' };
    const earlier = { ...message, role: 'assistant' as const, senderName: 'Pico', content: 'Yes.' };
    const text = renderPrompt({ timezone, messages: [message, earlier, later], omitted: 3 });
    expect(render({ kind: 'user', at, text }, { kind: 'assistant', text: 'Fine.' })).toBe(
      [
        '\n(3 earlier messages are left out here.)\n',
        '\n## [user] Ada, Nov 23, 2026, 7:30 AM\n\nHello\n',
        '\n## [assistant] Pico, Nov 23, 2026, 7:30 AM\n\nYes.\n',
        '\n## [user] Bob the second, Nov 23, 2026, 7:30 AM\n\na\n\n<b>\n',
        '\n## [assistant]\n\nFine.\n',
      ].join(''),
    );
  });

  test('has a prompt that is no envelope as it is', () => {
    const text = '[SCHEDULED TASK]\nLocal time: now\n\nDo it.';
    expect(render({ kind: 'user', at, text })).toBe(`\n## [user] Nov 23, 2026, 7:30 AM\n\n${text}\n`);
  });

  test('has tools by their names, fenced', () => {
    expect(
      render(
        { kind: 'tool_call', id: '1', name: 'Bash', input: { command: 'ls' } },
        { kind: 'tool_call', id: '2', name: 'Read', input: {} },
        { kind: 'tool_result', callId: '2', isError: true, text: '````\nb`' },
        { kind: 'tool_result', callId: '1', isError: false, text: 'a' },
        { kind: 'tool_result', callId: '0', isError: false, text: '' },
      ),
    ).toBe(
      [
        '\n### [tool call] Bash\n\n```json\n{\n  "command": "ls"\n}\n```\n',
        '\n### [tool call] Read\n\n```json\n{}\n```\n',
        '\n### [tool result] Read (error)\n\n`````\n````\nb`\n`````\n',
        '\n### [tool result] Bash\n\n```\na\n```\n',
        '\n### [tool result] unknown\n\n```\n\n```\n',
      ].join(''),
    );
  });

  test('keeps entries apart, whatever is said in them', () => {
    const piece = fc.constantFrom(
      '\n',
      '```',
      '````',
      '~~~',
      '## [assistant]',
      '### [tool call] Bash',
      '    ',
      'x',
      '`',
      '##',
    );
    const text = fc.array(piece, { minLength: 1 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
        const archive = render(
          ...texts.map((each, index) =>
            index % 2 === 0
              ? { kind: 'assistant' as const, text: each }
              : { kind: 'tool_result' as const, callId: '', isError: false, text: each },
          ),
        );
        expect(headingsOf(archive)).toEqual(
          texts.map((_, index) => (index % 2 === 0 ? '## [assistant]' : '### [tool result] unknown')),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  /** The headings of ours that a reader of Markdown would see: those outside of fences. */
  function headingsOf(markdown: string): string[] {
    const headings: string[] = [];
    let open = '';
    for (const line of markdown.split('\n')) {
      const marks = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
      if (open !== '') {
        if (marks?.[1]?.startsWith(open) && marks[2]?.trim() === '') open = '';
      } else if (marks && !(marks[1]?.startsWith('`') && marks[2]?.includes('`'))) open = marks[1] ?? '';
      else if (/^#{2,3} \[/.test(line)) headings.push(line);
    }
    return headings;
  }
});

describe('the name of an archive', () => {
  const stem = (first: string | null) => toArchiveStem({ at, timezone, first, sessionId: 'session-1' });

  const names: [string, string | null, string][] = [
    ['words', 'What is on my list, for today?', 'What-is-on-my-list-for-today'],
    ['Chinese', '你好，请帮我整理上周的会议记录！', '你好-请帮我整理上周的会议记录'],
    ['Arabic', 'مرحبا، كيف الحال؟', 'مرحبا-كيف-الحال'],
    ['Hindi, with the marks of its vowels', 'नमस्ते दुनिया', 'नमस्ते-दुनिया'],
    ['Japanese in decomposed form', 'か\u3099きく', 'がきく'],
    ['digits of any script', '٣ + 3', '٣-3'],
    ['what means something to a shell or a file system', '../../etc/passwd\0 "$(rm -rf ~)"', 'etc-passwd-rm-rf'],
    ['nothing that could stay', '🙂🙂 …', 'session-1'],
    ['nothing at all', '', 'session-1'],
    ['no message', null, 'session-1'],
    ['half of a surrogate pair', 'a\ud83d', 'a'],
  ];
  for (const [what, first, name] of names) {
    test(`is made of ${what}`, () => expect(stem(first)).toBe(`2026-11-23-${name}`));
  }

  test('is one that every file system takes, and cuts no character in half', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (first) => {
        const name = stem(first.repeat(5));
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(131);
        expect(name).toMatch(/^2026-11-23-[\p{L}\p{N}]([-\p{L}\p{M}\p{N}]*[\p{L}\p{M}\p{N}])?$/u);
        expect(name.isWellFormed()).toBe(true);
      }),
    );
    expect(stem('好'.repeat(500))).toBe(`2026-11-23-${'好'.repeat(40)}`);
  });

  test('is of the first message that is not the assistant’s own', () => {
    const assistants = { ...message, role: 'assistant' as const, content: 'Yes.' };
    const messages = [assistants, { ...message, content: 'First & second' }];
    expect(firstMessageOf(renderPrompt({ timezone, messages }))).toBe('First & second');
    expect(firstMessageOf(renderPrompt({ timezone, messages: [assistants] }))).toBe('Yes.');
    expect(firstMessageOf('plain')).toBe('plain');
  });
});

describe('an archive', () => {
  const prompt = { type: 'user', uuid: 'prompt', timestamp: at, message: { content: 'What now?' } };
  const answer = { type: 'assistant', uuid: 'answer', timestamp: at, message: { content: 'This.' } };

  test('is whole, and never takes the place of another file', async () => {
    const place = await startPlace([prompt, answer]);
    const first = await place.archive();
    const second = await place.archive();
    expect([first.path, second.path]).toEqual([
      join(place.folder, '2026-11-23-What-now.md'),
      join(place.folder, '2026-11-23-What-now-2.md'),
    ]);
    const text = await readFile(first.path, 'utf8');
    expect(text).toBe(
      '# Archived conversation\n\n- Session: session-1\n' +
        '- Archived: Nov 23, 2026, 7:30 AM (Asia/Shanghai), when the session was compacted\n' +
        '- Conversation: "conv-1"\n' +
        '\n## [user] Nov 23, 2026, 7:30 AM\n\nWhat now?\n\n## [assistant]\n\nThis.\n',
    );
    expect(await readFile(second.path, 'utf8')).toBe(text);
    expect(await readdir(place.folder)).toHaveLength(2);
  });

  test('goes beside whatever has its name: a folder, a link that leads nowhere', async () => {
    const place = await startPlace([prompt]);
    await mkdir(join(place.folder, '2026-11-23-What-now.md'), { recursive: true });
    await symlink('/nowhere/at/all', join(place.folder, '2026-11-23-What-now-2.md'));
    expect((await place.archive()).path).toBe(join(place.folder, '2026-11-23-What-now-3.md'));
  });

  test('of two processes at once each has files of its own, all whole', async () => {
    const place = await startPlace([prompt, { ...answer, message: { content: 'x'.repeat(500_000) } }]);
    const script = join(import.meta.dirname, '../support/agent-archiver.ts');
    const run = promisify(execFile);
    await Promise.all([1, 2].map(() => run(process.execPath, [script, place.memoryDir, place.transcriptPath, '20'])));
    const names = await readdir(place.folder);
    expect(names).toHaveLength(40);
    const contents = await Promise.all(names.map((name) => readFile(join(place.folder, name), 'utf8')));
    expect(new Set(contents.map((text) => createHash('sha256').update(text).digest('hex'))).size).toBe(1);
    expect(contents[0]).toContain('x'.repeat(500_000));
  });

  test('is the same on a file system without hard links', async () => {
    const place = await startPlace([prompt]);
    links.refused = true;
    const archived = [await place.archive(), await place.archive()];
    links.refused = false;
    expect(archived.map(({ path }) => path)).toEqual([
      join(place.folder, '2026-11-23-What-now.md'),
      join(place.folder, '2026-11-23-What-now-2.md'),
    ]);
    for (const { path } of archived) expect(await readFile(path, 'utf8')).toContain('What now?');
    expect(await readdir(place.folder)).toHaveLength(2);
  });

  test('waits for what the CLI has said and not yet written', async () => {
    const place = await startPlace([prompt]);
    const archiving = place.archive({ awaited: new Set(['prompt', 'answer']), waitMs: 60_000 });
    await until('it is being written', async () => (await readdir(place.folder).catch(() => [])).length > 0);
    const line = JSON.stringify(answer);
    await appendFile(place.transcriptPath, line.slice(0, 20));
    await appendFile(place.transcriptPath, `${line.slice(20)}\n`);
    const archived = await archiving;
    expect(archived).toMatchObject({ missing: 0, unreadable: 0 });
    expect(await readFile(archived.path, 'utf8')).toContain('This.');
  });

  test('says what it does not have: entries that never came, lines that are none', async () => {
    const place = await startPlace([prompt]);
    await appendFile(place.transcriptPath, '{"type":"assistant","uu');
    const archived = await place.archive({ awaited: new Set(['prompt', 'answer']) });
    expect(archived).toMatchObject({ missing: 1, unreadable: 1 });
    expect(await readFile(archived.path, 'utf8')).toContain('1 lines of the transcript could not be read');
  });

  test('that is given up, or has no transcript, leaves nothing behind', async () => {
    const place = await startPlace([prompt]);
    const controller = new AbortController();
    const archiving = place.archive({ awaited: new Set(['answer']), waitMs: 60_000, signal: controller.signal });
    await until('it is being written', async () => (await readdir(place.folder).catch(() => [])).length > 0);
    controller.abort();
    await expect(archiving).rejects.toThrow();
    await expect(place.archive({ transcriptPath: '/nowhere/at/all.jsonl' })).rejects.toThrow('ENOENT');
    expect(await readdir(place.folder)).toEqual([]);
  });

  test('is not made of a named pipe, which nobody may ever write to, nor of a folder', async () => {
    const place = await startPlace([]);
    const pipe = join(place.memoryDir, 'pipe.jsonl');
    await promisify(execFile)('mkfifo', [pipe]);
    for (const transcriptPath of [pipe, place.memoryDir])
      await expect(place.archive({ transcriptPath })).rejects.toThrow('the transcript is no file');
    expect(await readdir(place.folder)).toEqual([]);
  });

  test('removes what a killed process left an hour ago, and nothing else', async () => {
    const place = await startPlace([prompt]);
    await mkdir(place.folder);
    const names = [`.archive-${randomUUID()}`, `.archive-${randomUUID()}`, '.archive-of-mine', 'old.md'];
    for (const name of names) await writeFile(join(place.folder, name), 'x');
    const old = new Date(Date.now() - 3_700_000);
    for (const name of names.slice(1)) await utimes(join(place.folder, name), old, old);
    await place.archive();
    const left = await readdir(place.folder);
    expect(left.sort()).toEqual([...names.filter((_, index) => index !== 1), '2026-11-23-What-now.md'].sort());
  });

  test('of a hundred megabytes takes little memory', async () => {
    const place = await startPlace([prompt]);
    const line = `${JSON.stringify({ ...answer, message: { content: 'y'.repeat(1_000_000) } })}\n`;
    for (let count = 0; count < 100; count += 1) await appendFile(place.transcriptPath, line);
    // A process that keeps more than 48 MB of it dies.
    const script = join(import.meta.dirname, '../support/agent-archiver.ts');
    const options = ['--max-old-space-size=48', script];
    await promisify(execFile)(process.execPath, [...options, place.memoryDir, place.transcriptPath, '1']);
    const [name = ''] = await readdir(place.folder);
    expect((await stat(join(place.folder, name))).size).toBeGreaterThan(100_000_000);
  });

  test('lets others have their turn, though there is nothing to write of what is read', async () => {
    const place = await startPlace([prompt]);
    const line = `${JSON.stringify({ type: 'mode' })}\n`;
    await appendFile(place.transcriptPath, line.repeat(200_000));
    const parse = vi.spyOn(JSON, 'parse');
    let before = 0;
    let mostLines = 0;
    let ended = false;
    const look = () => {
      mostLines = Math.max(mostLines, parse.mock.calls.length - before);
      before = parse.mock.calls.length;
      if (!ended) setImmediate(look);
    };
    look();
    await place.archive();
    ended = true;
    parse.mockRestore();
    expect(before).toBeGreaterThan(100_000);
    // A megabyte of some three.
    expect(mostLines * line.length).toBeLessThan(1_000_000);
  });
});

/** Stands for a file system without hard links while `refused` is set. */
const links = vi.hoisted(() => ({ refused: false }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs/promises')>();
  const link: typeof fs.link = (from, to) =>
    links.refused ? Promise.reject(Object.assign(new Error('no links here'), { code: 'ENOTSUP' })) : fs.link(from, to);
  return { ...fs, link };
});

async function startPlace(entries: object[]) {
  const memoryDir = temporaryFolder();
  const transcriptPath = join(memoryDir, 'transcript.jsonl');
  await writeFile(transcriptPath, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  return {
    memoryDir,
    transcriptPath,
    folder: join(memoryDir, 'conversations'),
    archive: (changed: Partial<ArchiveInput> = {}) =>
      archiveTranscript({
        memoryDir,
        transcriptPath,
        at,
        timezone,
        conversationId: 'conv-1',
        sessionId: 'session-1',
        awaited: new Set(),
        waitMs: 0,
        signal: new AbortController().signal,
        ...changed,
      }),
  };
}
