/** The installed skills as the real claude process finds them: what it lists, what it loads, what it makes itself. */

import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createSkills, type Skills } from '../../src/skills/skills.ts';
import { type AgentHost, startAgentHost } from '../support/agent-host.ts';
import { type ModelRequest, startModel } from '../support/model.ts';
import { post, startServer } from '../support/server.ts';
import { skillText } from '../support/skill-folders.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const shipped = join(import.meta.dirname, '../../built-in-skills');

let orgSkillsDir: string;
beforeEach(() => {
  orgSkillsDir = join(temporaryFolder(), 'org');
});

test('the built-in skills are listed with their descriptions, and each can be loaded', async () => {
  await using host = await startAgentHost();
  const { effective, warnings } = await skillsOf(host).reload();
  expect({ effective, warnings }).toEqual({ effective: ['memory-notes', 'scheduling'], warnings: [] });

  for (const name of effective) {
    const { listed, loaded } = await load(host, name);
    expect(listed).toMatchObject({
      'memory-notes': expect.stringMatching(/^How to keep notes in files/),
      scheduling: expect.stringMatching(/^How to schedule work for later/),
    });
    const body = readFileSync(join(shipped, name, 'SKILL.md'), 'utf8').split('\n---\n')[1];
    expect(loaded).toContain(body?.trim());
  }
});

test('an organisation’s skill is listed and loaded in place of the built-in one, its other files by their paths', async () => {
  await using host = await startAgentHost();
  write(
    join(orgSkillsDir, 'scheduling/SKILL.md'),
    skillText('scheduling', { description: 'Our way', body: 'Ask Robin.' }),
  );
  write(join(orgSkillsDir, 'scheduling/rota.md'), 'Robin is in on Mondays.');
  await skillsOf(host).reload();

  const { listed, loaded } = await load(host, 'scheduling');
  expect(listed.scheduling).toBe('Our way');
  expect(loaded).toContain('Ask Robin.');
  const folder = folderIn(host, loaded);
  expect(await tell(host, 'Read', { file_path: join(folder, 'rota.md') })).toContain('Robin is in on Mondays.');
});

test('skills with odd names, and those whose front matter is no valid YAML but can be read, are listed as they were installed', async () => {
  await using host = await startAgentHost();
  const odd = ['With Space', '中文技能', 'col:on', '__proto__', '-dash', '😀'];
  for (const name of odd) write(join(orgSkillsDir, name, 'SKILL.md'), skillText(name, { name: JSON.stringify(name) }));
  for (const description of ['Use when: asked', '[draft] it', '@all of it', '`tick` it'])
    write(
      join(orgSkillsDir, `about ${description.at(0)}`, 'SKILL.md'),
      skillText('any', { description, body: 'First line.' }),
    );
  // What would be skipped must be what it would misread or not find.
  for (const name of [' ahead', 'behind ', 'two\nlines', '.hidden'])
    write(join(orgSkillsDir, name, 'SKILL.md'), skillText('any', { description: 'Skipped' }));

  const { effective } = await skillsOf(host).reload();

  const { listed } = await load(host, '中文技能');
  expect(Object.keys(listed).sort()).toEqual(effective);
  expect(listed['about U']).toBe('Use when: asked');
  expect(listed['about [']).toBe('[draft] it');
  expect(listed['about @']).toBe('@all of it');
  expect(listed['about `']).toBe('`tick` it');
});

test('a skill that the agent makes is listed in its next run, and lasts through reloads as it was last edited', async () => {
  await using host = await startAgentHost();
  const skills = skillsOf(host);
  await skills.reload();
  const file = join(host.memoryDir, '.claude/skills/greet/SKILL.md');

  await tell(host, 'Write', { file_path: file, content: skillText('greet', { body: 'Say hi.' }) });
  expect((await load(host, 'greet')).loaded).toContain('Say hi.');
  expect(await skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
  expect((await load(host, 'greet')).loaded).toContain('Say hi.');

  await tell(host, 'Bash', {
    command: `sed -i 's/Say hi/Bow deeply/' .claude/skills/greet/SKILL.md`,
    description: 'Edit',
  });
  await skills.reload();
  await skills.reload();
  const { listed, loaded } = await load(host, 'greet');
  expect(loaded).toContain('Bow deeply.');
  expect(listed.greet).toBe('About greet');
});

test('a skill that is removed from its source is not listed in the next run', async () => {
  await using host = await startAgentHost();
  const skills = skillsOf(host);
  write(join(orgSkillsDir, 'revoked/SKILL.md'), skillText('revoked'));
  write(join(host.memoryDir, 'skills/mine/SKILL.md'), skillText('mine'));
  await skills.reload();
  expect(Object.keys((await load(host, 'scheduling')).listed)).toEqual(expect.arrayContaining(['revoked', 'mine']));

  rmSync(join(orgSkillsDir, 'revoked'), { recursive: true });
  rmSync(join(host.memoryDir, 'skills/mine'), { recursive: true });
  await skills.reload();
  const { listed } = await load(host, 'scheduling');
  expect(Object.keys(listed).sort()).toEqual(['memory-notes', 'scheduling']);
});

test('a run that has begun keeps the skills and texts it began with, and reads their other files from the new set', async () => {
  await using host = await startAgentHost();
  const skills = skillsOf(host);
  write(join(orgSkillsDir, 'greet/SKILL.md'), skillText('greet', { body: 'Say hi.' }));
  write(join(orgSkillsDir, 'greet/words.md'), 'hello');
  await skills.reload();
  const hold = host.model.fault({ kind: 'hold' });
  const running = load(host, 'greet');
  await hold.reached;
  write(join(orgSkillsDir, 'greet/SKILL.md'), skillText('greet', { body: 'Bow deeply.' }));
  write(join(orgSkillsDir, 'greet/words.md'), 'good day');
  await skills.reload();
  hold.release();
  const { loaded } = await running;
  expect(loaded).toContain('Say hi.');
  expect(readFileSync(join(folderIn(host, loaded), 'words.md'), 'utf8')).toBe('good day');
  expect((await load(host, 'greet')).loaded).toContain('Bow deeply.');
});

test('a reload waits with the swap for a process that is starting, which lists and loads the set before', async () => {
  await using host = await startAgentHost();
  const skills = skillsOf(host);
  write(join(orgSkillsDir, 'greet/SKILL.md'), skillText('greet', { description: 'Old', body: 'Say hi.' }));
  await skills.reload();
  const before = readlinkSync(join(host.memoryDir, '.claude/skills'));

  const running = load(host, 'greet');
  // Long before it has read anything: it is not even the program yet that will.
  const pid = await firstProcess(host);
  process.kill(pid, 'SIGSTOP');
  write(join(orgSkillsDir, 'greet/SKILL.md'), skillText('greet', { description: 'New', body: 'Bow deeply.' }));
  const reload = skills.reload();
  await expect.poll(() => existsSync(newestSet(host, before) ?? 'none')).toBe(true);
  // The rest of the reload would take some turns, were it not waiting.
  for (let turn = 0; turn < 50; turn += 1) await skills.read();
  expect(readlinkSync(join(host.memoryDir, '.claude/skills'))).toBe(before);
  process.kill(pid, 'SIGCONT');

  const { listed, loaded } = await running;
  expect(listed.greet).toBe('Old');
  expect(loaded).toContain('Say hi.');
  await reload;
  expect((await load(host, 'greet')).listed.greet).toBe('New');
});

test('a workspace whose .claude is a link has its skills as well', async () => {
  await using host = await startAgentHost();
  const far = join(dirname(orgSkillsDir), 'far');
  mkdirSync(far);
  symlinkSync(far, join(host.memoryDir, '.claude'));
  write(join(host.memoryDir, 'skills/mine/SKILL.md'), skillText('mine', { body: 'Mine.' }));
  await skillsOf(host).reload();
  expect((await load(host, 'mine')).loaded).toContain('Mine.');
});

test('a server that was just started tells the skills that its runs will have, not those of the server before', async () => {
  const model = await startModel();
  onTestFinished(() => model.stop());
  await using server = await startServer({ model });
  expect((await server.get('/admin/skills')).body).toMatchObject({
    skills: { effective: ['memory-notes', 'scheduling'] },
  });
});

test('a server installs the skills before its first run, and again when it is asked to', async () => {
  const model = await startModel();
  onTestFinished(() => model.stop());
  model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const revoked = join(orgSkillsDir, 'revoked');
  write(join(revoked, 'SKILL.md'), skillText('revoked'));
  await using server = await startServer({ model, dir: dirname(orgSkillsDir), env: { SKILLS_DIR: orgSkillsDir } });

  await server.chat({ message: 'hello' });
  expect(Object.keys(listedIn(model.requests()[0]))).toEqual(['memory-notes', 'revoked', 'scheduling']);

  rmSync(revoked, { recursive: true });
  const skills = { builtIn: ['memory-notes', 'scheduling'], org: [], user: [], warnings: [] };
  const effective = skills.builtIn;
  const reloaded = await post(`${server.url}/admin/reload-skills`, {});
  expect(await reloaded.json()).toEqual({ status: 'reloaded', skills: { ...skills, effective } });
  expect((await server.get('/admin/skills')).body).toEqual({ skills: { ...skills, effective } });
  await server.chat({ message: 'hello' });
  expect(Object.keys(listedIn(model.requests()[1]))).toEqual(['memory-notes', 'scheduling']);
});

function skillsOf(host: AgentHost): Skills {
  const { memoryDir, agent } = host;
  return createSkills({
    memoryDir,
    builtInDir: shipped,
    orgSkillsDir,
    betweenStarts: agent.betweenStarts,
    log: pino({ level: 'silent' }),
  });
}

async function firstProcess(host: AgentHost): Promise<number> {
  for (;;) {
    const [found] = await host.processes();
    if (found) return found.pid;
  }
}

/** The copy of `greet` in a set other than that one. */
function newestSet({ memoryDir }: AgentHost, than: string): string | undefined {
  const sets = join(memoryDir, '.claude/skill-sets');
  const id = readdirSync(sets).find((name) => !name.endsWith('.json') && name !== basename(than));
  return id && join(sets, id, 'greet/SKILL.md');
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** A run of its own that loads the skill. What it was offered, by name, and what came of the loading. */
async function load(host: AgentHost, skill: string): Promise<{ listed: Record<string, string>; loaded: string }> {
  const word = randomUUID();
  const loaded = await tell(host, 'Skill', { skill }, word);
  const request = host.model.requests().find(({ raw }) => raw.includes(word));
  return { listed: listedIn(request), loaded };
}

/** The folder of a skill, as the memory folder has it: the path that the model is told is one of its own process. */
function folderIn(host: AgentHost, loaded: string): string {
  const told = /Base directory for this skill: (\S+)/.exec(loaded)?.[1] ?? '';
  return join(host.sessionsDir, told.slice(told.indexOf('/skills/')));
}

/** A run in which the agent uses one tool. All texts of the request that carried its result. */
async function tell(host: AgentHost, tool: string, input: object, word: string = randomUUID()): Promise<string> {
  const call = { name: tool, arguments: JSON.stringify(input) };
  host.model.mock.on(
    { userMessage: new RegExp(word), hasToolResult: false },
    { content: 'I will.', toolCalls: [call] },
  );
  host.model.mock.on({ userMessage: new RegExp(word), hasToolResult: true }, { content: 'Done.' });
  // A skill is loaded as another text of the user's.
  host.model.mock.on({ userMessage: /^Base directory for this skill/ }, { content: 'Done.' });
  const { result } = await host.run(word);
  expect(result.outcome).toBe('success');
  const last = host.model.requests().findLast(({ raw }) => raw.includes(word));
  return textsIn(last?.body.messages).join('\n');
}

function listedIn(request: ModelRequest | undefined): Record<string, string> {
  const text = textsIn(request?.body.messages).find((one) => one.includes('skills are available')) ?? '';
  const list = text.slice(text.indexOf('skills are available')).split('\n\n')[1] ?? '';
  const lines = list.split('\n').map((line) => /^- (.+?)(?: \(.*?\))?: (.*)$/.exec(line));
  return Object.fromEntries(lines.flatMap((match) => (match ? [[match[1], match[2]]] : [])));
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  const parts = z
    .union([z.array(z.unknown()), z.record(z.string(), z.unknown()).transform(Object.values)])
    .safeParse(value);
  return parts.success ? parts.data.flatMap(textsIn) : [];
}
