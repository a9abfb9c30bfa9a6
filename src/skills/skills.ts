/**
 * The skills of the agent: three sources, one installed set, replaced whole at the start and on request.
 *
 * One reload at a time. A call that comes while one is under way waits for the next, which it shares with all who come
 * until that one begins: what is under way may have read the sources before the caller changed them.
 */

import { Problem } from '../domain/problem.ts';
import { codeOf } from '../lib/error-code.ts';
import { type InstallDeps, installSkills } from './install.ts';
import { readInstalled } from './installed.ts';
import type { InstalledSkills } from './skill.ts';

export type { InstalledSkills };

export type Skills = {
  /** Installs what the sources hold now. Rejects with a `Problem`, its cause logged; the set before is then still there. */
  reload(): Promise<InstalledSkills>;
  read(): Promise<InstalledSkills>;
};

export function createSkills(deps: InstallDeps): Skills {
  let underWay: Promise<unknown> = Promise.resolve();
  let announced: Promise<InstalledSkills> | null = null;

  function reload(): Promise<InstalledSkills> {
    announced ??= underWay.then(() => {
      announced = null;
      const begun = reloadNow(deps);
      underWay = begun.catch(() => undefined);
      return begun;
    });
    return announced;
  }

  return { reload, read: () => readInstalled(deps.memoryDir) };
}

async function reloadNow(deps: InstallDeps): Promise<InstalledSkills> {
  try {
    await installPatiently(deps);
    const { warnings, ...installed } = await readInstalled(deps.memoryDir);
    for (const { skill, message } of warnings) deps.log.warn({ skill }, message);
    deps.log.info({ skills: installed.effective }, 'skills are installed');
    return { ...installed, warnings };
  } catch (cause) {
    deps.log.error({ err: cause }, 'the skills could not be installed; those installed before stay');
    throw new Problem(
      'skills_failed',
      `the skills could not be installed (${codeOf(cause) ?? 'the log says why'}); those installed before stay`,
      { cause },
    );
  }
}

const maxAttempts = 3;

/** How a step fails that somebody else has just done or undone: a deployment, another instance on this volume. */
const overtaken = ['ENOENT', 'EEXIST', 'EISDIR', 'ENOTEMPTY'];

async function installPatiently(deps: InstallDeps): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await installSkills(deps);
    } catch (error) {
      if (attempt === maxAttempts || !overtaken.includes(codeOf(error) ?? '')) throw error;
    }
  }
}
