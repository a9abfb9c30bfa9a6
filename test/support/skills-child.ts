/**
 * A process to be killed: reloads skills from two sources in turn until it is, and before each makes one as the agent
 * does, which it names on standard output. Arguments: the memory folder, the two sources, the beginning of the names.
 */

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { createSkills } from '../../src/skills/skills.ts';

const [, , memoryDir = '', first = '', second = '', prefix = ''] = process.argv;
const [one, two] = [first, second].map((orgSkillsDir) =>
  createSkills({
    memoryDir,
    builtInDir: join(memoryDir, 'none'),
    orgSkillsDir,
    betweenStarts: (work) => work(),
    log: pino({ level: 'silent' }),
  }),
);
await one?.reload();
for (let number = 0; ; number += 1) {
  const name = `${prefix}-${number}`;
  // In one step: whoever makes a folder and then a file in it can find it taken over in between.
  const made = join(memoryDir, `being-made-${prefix}`);
  mkdirSync(made, { recursive: true });
  writeFileSync(join(made, 'SKILL.md'), `---\nname: ${name}\ndescription: About ${name}\n---\n`);
  renameSync(made, join(memoryDir, '.claude/skills', name));
  process.stdout.write(`${name}\n`);
  await (number % 2 === 0 ? two : one)?.reload();
}
