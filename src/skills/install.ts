/**
 * One reload, from the sources to the installed set:
 *
 *     take over what the agent made ─► tidy up ─► read the sources ─► build the set beside ─► something new? ─► swap
 *            ▲                                                                                     │
 *            └──────────────────────────── which belongs in the set ◄──────────────────────────────┘
 *
 * What a starting process sees is only touched between starts, where nothing is read or copied: a start waits for renames
 * at most. A reload that fails or is cut off leaves the set that was installed or the new one; the next goes on.
 */

import { lstat, mkdir, realpath } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import type { Log } from '../lib/log.ts';
import { type Adoptions, adopt } from './adopt.ts';
import { findMade, type Survey } from './find-made.ts';
import { type Place, placeIn } from './place.ts';
import { buildSet, discardSet, findCurrent, installSet, tidySets } from './skill-set.ts';
import { findSkills, makeSources } from './sources.ts';

export type InstallDeps = {
  memoryDir: string;
  builtInDir: string;
  orgSkillsDir: string;
  /** Runs the work while no claude process is starting, and holds new starts meanwhile. */
  betweenStarts: <T>(work: () => Promise<T>) => Promise<T>;
  log: Log;
};

/** One at a time. */
export async function installSkills({
  memoryDir,
  betweenStarts: holdStarts,
  log,
  ...dirs
}: InstallDeps): Promise<void> {
  const place = placeIn(memoryDir);
  const sources = makeSources({ ...dirs, userDir: place.userDir });
  await mkdir(place.setsDir, { recursive: true });
  await mkdir(place.userDir, { recursive: true });
  await requireHere(memoryDir, place);
  const betweenStarts = <T>(work: () => Promise<T>): Promise<T> =>
    holdStarts(async () => {
      // An agent can be at work meanwhile.
      await requireHere(memoryDir, place);
      return await work();
    });

  const adoptions: Adoptions = { names: [], warnings: [], stuck: new Set() };
  let isInstalled = false;
  while (!isInstalled) {
    const survey = await adopt({ place, sources, betweenStarts }, adoptions);
    await tidySets(place, new Set([...adoptions.stuck].map((path) => dirname(path)))).catch((error: unknown) =>
      log.warn({ err: error }, 'sets of skills that are not used any more could not be removed'),
    );
    const id = await buildSet(place, await findSkills(sources), adoptions.warnings);
    try {
      isInstalled = await betweenStarts(async () => {
        if (await hasChanged(place, survey, adoptions)) return false;
        await installSet(place, id);
        return true;
      });
    } finally {
      if (!isInstalled) await discardSet(place, id).catch(() => undefined);
    }
  }
  if (adoptions.names.length > 0) log.info({ skills: adoptions.names }, "the agent's own skills are kept");
}

/** The server writes where the agent may not: a link that the agent has made must not lead there what it puts among the skills. */
async function requireHere(memoryDir: string, { setsDir, userDir }: Place): Promise<void> {
  const [memory, user] = await Promise.all([realpath(memoryDir), realpath(userDir)]);
  if (!user.startsWith(memory + sep))
    throw new Error(
      `MEMORY_DIR/skills is a link that leads out of MEMORY_DIR, to ${user}; replace it by a folder, or mount one there`,
    );
  if ((await lstat(setsDir)).isSymbolicLink())
    throw new Error('MEMORY_DIR/.claude/skill-sets is a link; remove it, the server makes a folder there');
}

async function hasChanged(place: Place, survey: Survey, { stuck }: Adoptions): Promise<boolean> {
  const current = await findCurrent(place);
  if (JSON.stringify(current) !== JSON.stringify(survey.current)) return true;
  return (await findMade(survey)).some(({ path }) => !stuck.has(path));
}
