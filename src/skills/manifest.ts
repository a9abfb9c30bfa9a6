/** What was put into a set, and what is to be said of it. What lies in a set and is not named here, the agent made. */

import { lstat, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { manifestPath, type Place } from './place.ts';
import { readHead } from './read-head.ts';
import { tiers } from './skill.ts';

const manifest = z.object({
  skills: z.array(z.object({ name: z.string(), tier: z.enum(tiers) })),
  warnings: z.array(z.object({ skill: z.string(), message: z.string() })),
});

export type Manifest = z.infer<typeof manifest>;
export type Entry = Manifest['skills'][number];

const maxBytes = 4_000_000;

/** Null when there is none that can be read and understood: it lies where the agent writes. */
export async function readManifest(place: Place, id: string): Promise<Manifest | null> {
  const path = manifestPath(place, id);
  try {
    const found = await lstat(path);
    if (!found.isFile() || found.size > maxBytes) return null;
    return manifest.parse(JSON.parse(await readHead(path, maxBytes)));
  } catch {
    return null;
  }
}

export async function writeManifest(place: Place, id: string, content: Manifest): Promise<void> {
  // Writing into a pipe would never end.
  await rm(manifestPath(place, id), { recursive: true, force: true });
  await writeFile(manifestPath(place, id), `${JSON.stringify(content, null, 2)}\n`, { flag: 'wx' });
}
