/** Processes that reload skills all the time: SIGKILL at moments that nobody has chosen, and two at once. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFailed, test } from 'vitest';
import { makeSkillFolders, type SkillFolders } from '../support/skill-folders.ts';

const child = join(import.meta.dirname, '../support/skills-child.ts');
const copies = ['invoices', 'letters', 'offers'];

test('after each SIGKILL the installed set is of one source, and every skill that was made is there after the next reload', async () => {
  const folders = makeSkillFolders();
  const other = join(folders.memoryDir, '../other');
  for (const body of ['One.', 'Two.']) {
    for (const name of copies) folders.writeSkill('org', name, { body });
    if (body === 'One.') cpSync(folders.dirs.org, other, { recursive: true });
  }
  const made: string[] = [];
  for (let round = 0; round < 12; round += 1) {
    made.push(...(await killed(folders, other, `made-${round}`, 1 + (round % 3))));
    const bodies = copies.map((name) => folders.installed(`${name}/SKILL.md`).split('\n').at(-2));
    expect(
      [
        ['One.', 'One.', 'One.'],
        ['Two.', 'Two.', 'Two.'],
      ],
      `round ${round}`,
    ).toContainEqual(bodies);

    const { org, user } = await folders.skills.reload();
    expect(org, `round ${round}`).toEqual(copies);
    // The last one may not have been named any more.
    expect(
      user.filter((name) => made.includes(name)),
      `round ${round}`,
    ).toEqual([...made].sort());
    for (const name of readdirSync(folders.dirs.user)) {
      if (!made.includes(name)) rmSync(join(folders.dirs.user, name), { recursive: true });
      else expect(readFileSync(join(folders.dirs.user, name, 'SKILL.md'), 'utf8')).toContain(`About ${name}`);
    }
  }
});

test('two instances that reload on one volume at once lose nothing, and there is always a set', async () => {
  const folders = makeSkillFolders();
  for (const name of copies) folders.writeSkill('org', name);
  await folders.skills.reload();
  let isDone = false;
  const made = Promise.all(['one', 'two'].map((prefix) => killed(folders, folders.dirs.org, prefix, 8))).finally(() => {
    isDone = true;
  });
  while (!isDone) {
    expect(folders.installed('offers/SKILL.md')).toContain('About offers');
    await setImmediate();
  }
  const { org, user } = await folders.skills.reload();
  expect(org).toEqual(copies);
  expect(user).toEqual(expect.arrayContaining((await made).flat()));
});

/** Resolves to the names of the skills that the process had certainly made, some time after that many. */
async function killed(folders: SkillFolders, other: string, prefix: string, atLeast: number): Promise<string[]> {
  const process_ = spawn(process.execPath, [child, folders.memoryDir, other, folders.dirs.org, prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const names: string[] = [];
  const lines = createInterface({ input: process_.stdout });
  lines.on('line', (name) => names.push(name));
  const closed = once(lines, 'close').then(() => true);
  while (names.length < atLeast)
    if ((await Promise.race([once(lines, 'line'), closed])) === true) throw new Error('it ended by itself');
  // The moment is the point of the test: somewhere in one of the next reloads.
  const delayMs = Math.random() * 60;
  onTestFailed(() => console.log(`${prefix} was killed ${delayMs} ms after ${atLeast} skills`));
  await sleep(delayMs);
  process_.kill('SIGKILL');
  await closed;
  return names;
}
