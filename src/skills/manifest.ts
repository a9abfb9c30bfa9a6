/** What was put into a set, and what is to be said of it. What lies in a set and is not named here, the agent made. */

import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { ifMissing } from '../lib/error-code.ts';
import { manifestPath, type Place } from './place.ts';
import { tiers } from './skill.ts';

const manifest = z.object({
  skills: z.array(
    z.object({
      name: z.string(),
      tier: z.enum(tiers),
      /** Of the copy; null for a link to a user skill, and for a copy that is not ours. */
      fingerprint: z.string().nullable(),
    }),
  ),
  warnings: z.array(z.object({ skill: z.string(), message: z.string() })),
});

export type Manifest = z.infer<typeof manifest>;
export type Entry = Manifest['skills'][number];

/** Null when there is none that can be understood: it lies where the agent writes. */
export async function readManifest(place: Place, id: string): Promise<Manifest | null> {
  const text = await readFile(manifestPath(place, id), 'utf8').catch(ifMissing(null));
  if (text === null) return null;
  try {
    return manifest.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

export async function writeManifest(place: Place, id: string, content: Manifest): Promise<void> {
  await writeFile(manifestPath(place, id), `${JSON.stringify(content, null, 2)}\n`);
}
