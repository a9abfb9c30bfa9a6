/** The checks of the folders: what a start would find wrong with them, without making one, and how much room there is. */

import { stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkFolders } from '../../config/folders.ts';
import type { Config, Fault } from '../../config.ts';
import { ifMissing } from '../../lib/error-code.ts';
import { findSkills, makeSources } from '../../skills/sources.ts';
import { type Check, type Finding, fail, inBytes, ok, skip, warn } from './finding.ts';
import { describeFault } from './settings.ts';

/** `databaseBytes`: of the database on the volume; 0 when there is none. Settings that are faulty are left out. */
export function folderChecks(input: {
  config: Config;
  faults: Fault[];
  databaseBytes: () => Promise<number>;
}): Check[] {
  const { config, faults } = input;
  // Looked at together, and told one by one.
  let looked: Promise<Fault[]> | null = null;
  const look = () => {
    looked ??= checkFolders(config, { creates: false });
    return looked;
  };
  const check = (variable: string, folder: string, rest: () => Promise<Finding[]>): Check => ({
    name: variable,
    run: async () => {
      if (faults.some((fault) => fault.variable === variable)) return [skip('see settings')];
      const found = (await look()).filter((fault) => fault.variable === variable);
      return found.length > 0 ? found.map(({ value, fix }) => fail(`${value || folder}: ${fix}`)) : await rest();
    },
  });

  return [
    check('STORE_DIR', config.storeDir, async () => {
      const leastBytes = 3 * (await input.databaseBytes().catch(() => 0));
      return [await checkVolume(config.storeDir, { leastBytes })];
    }),
    check('MEMORY_DIR', config.memoryDir, async () => [await checkVolume(config.memoryDir, { leastBytes: 0 })]),
    check('LOCAL_DB_PATH', config.localDbPath, async () => [
      await checkRoom(dirname(config.localDbPath), { leastBytes: 0 }),
    ]),
    check('ORG_DIR', config.orgDir ?? '', async () => [
      config.orgDir === null ? skip('not given') : ok(`${config.orgDir} can be read`),
    ]),
    {
      name: 'skills',
      run: async () => {
        const found = (await look()).filter(({ variable }) => variable.endsWith('SKILLS_DIR'));
        return found.length === 0 ? await checkSkills(config) : found.map((fault) => fail(describeFault(fault)));
      },
    },
  ];
}

async function checkSkills({ memoryDir, skillsDir, builtInSkillsDir }: Config): Promise<Finding[]> {
  const sources = makeSources({
    builtInDir: builtInSkillsDir,
    orgSkillsDir: skillsDir,
    userDir: join(memoryDir, 'skills'),
  });
  const { skills, warnings } = await findSkills(sources);
  const names = skills.map(({ name }) => name).sort();
  return [ok(names.length === 0 ? 'none' : names.join(', ')), ...warnings.map(({ message }) => warn(message))];
}

async function checkVolume(folder: string, needs: { leastBytes: number }): Promise<Finding> {
  return (await stat(folder).catch(ifMissing(null))) === null
    ? warn(`${folder} is not there; a start would make it, which is right only if the volume is mounted above it`)
    : await checkRoom(folder, needs);
}

/** A part of what there is in all, below which it is told. */
const leastShare = 0.1;

async function checkRoom(folder: string, { leastBytes }: { leastBytes: number }): Promise<Finding> {
  const { bavail, blocks, bsize } = await statfs(await existing(folder));
  const { status, text } = judgeRoom({ free: bavail * bsize, total: blocks * bsize, leastBytes });
  return { status, text: `${folder} can be written, ${text}` };
}

/** Some network file systems do not say how large they are. */
export function judgeRoom({ free, total, leastBytes }: Record<'free' | 'total' | 'leastBytes', number>): Finding {
  if (total === 0) return ok('and does not say how much room it has');
  const text = `${inBytes(free)} free of ${inBytes(total)}`;
  if (free === 0) return fail(`${text}: make room`);
  if (free < leastBytes)
    return warn(`${text}, less than three times the database (${inBytes(leastBytes / 3)}): make room`);
  return free < total * leastShare ? warn(`${text}: make room`) : ok(text);
}

async function existing(folder: string): Promise<string> {
  const isThere = (await stat(folder).catch(ifMissing(null))) !== null;
  return isThere || dirname(folder) === folder ? folder : await existing(dirname(folder));
}
