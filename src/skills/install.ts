/**
 * One reload, from the sources to the installed set:
 *
 *     read the sources ─► build the set beside ─► take over what the agent made ─► nothing? ─► swap ─► tidy up
 *            ▲                                                                        │
 *            └────────────────────── something, which belongs in the set ◄────────────┘
 *
 * What a starting process sees is only touched between starts. A reload that fails or is cut off leaves the set that was
 * installed or the new one; the next finishes and tidies up.
 */

import { mkdir } from 'node:fs/promises';
import type { Log } from '../lib/log.ts';
import { type Adopted, adopt } from './adopt.ts';
import { type Place, placeIn } from './place.ts';
import type { SkillWarning } from './skill.ts';
import { type BuiltSet, buildSet, discardSet, findCurrent, installSet, tidySets } from './skill-set.ts';
import { type Found, findReservedNames, findSkills, makeSources } from './sources.ts';

export type InstallDeps = {
  memoryDir: string;
  builtInDir: string;
  /** The organisation's skills. */
  orgDir: string;
  /** Runs the work while no claude process is starting, and holds new starts meanwhile. */
  betweenStarts: <T>(work: () => Promise<T>) => Promise<T>;
  log: Log;
};

/** One at a time. */
export async function installSkills(deps: InstallDeps): Promise<void> {
  const place = placeIn(deps.memoryDir);
  const sources = makeSources({ builtInDir: deps.builtInDir, orgDir: deps.orgDir, userDir: place.userDir });
  await mkdir(place.setsDir, { recursive: true });
  await mkdir(place.userDir, { recursive: true });

  const adopted: Adopted = { names: [], warnings: [] };
  let swapped: Swapped | null = null;
  while (swapped === null) {
    const found = await findSkills(sources);
    const reserved = await findReservedNames(sources);
    const built = await buildSet(place, found);
    try {
      swapped = await deps.betweenStarts(async () => {
        const more = await adopt(place, reserved);
        adopted.names.push(...more.names);
        adopted.warnings.push(...more.warnings);
        return more.names.length > 0 ? null : await swap(place, { built, found, adopted });
      });
    } finally {
      if (swapped === null) await discardSet(place, built.id).catch(() => undefined);
    }
  }
  if (adopted.names.length > 0) deps.log.info({ skills: adopted.names }, "the agent's own skills are kept");
  await tidySets(place, swapped.before).catch((error: unknown) =>
    deps.log.warn({ err: error }, 'sets of skills that are not used any more could not be removed'),
  );
}

/** `before`: the set that was installed, kept until the next reload for the processes that began with it. */
type Swapped = { before: string | null };

type Swap = { built: BuiltSet; found: Found; adopted: Adopted };

async function swap(place: Place, { built, found, adopted }: Swap): Promise<Swapped> {
  const before = await findCurrent(place);
  await installSet(place, built, distinct([...adopted.warnings, ...found.warnings, ...built.warnings]));
  return { before: before.kind === 'set' ? before.id : null };
}

/** What is seen twice is said once. */
function distinct(warnings: SkillWarning[]): SkillWarning[] {
  return [...new Map(warnings.map((warning) => [JSON.stringify(warning), warning])).values()];
}
