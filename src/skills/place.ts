/**
 * What lies where below MEMORY_DIR:
 *
 *     .claude/skills                  a link to the set that is installed
 *     .claude/skill-sets/<id>/        a set: built-in and org skills as copies, user skills as links to skills/
 *     .claude/skill-sets/<id>.json    its manifest, written last: a set without one is not finished
 *     .claude/skill-sets/<id>.link    until the set is installed: the link that is to replace the other
 *     .claude/skill-sets/found-<id>/  what lay where a link of ours belongs, of 1.x or of the agent's making
 *     .claude/skill-sets/later-<id>/  the same, of a user skill that there is: a later version of it
 *     skills/                         the user skills, the agent's own among them
 *     skills/.picoclaw-<id>           for a moment: what is being put there, and what has been replaced
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

export type Place = { link: string; setsDir: string; userDir: string };

export function placeIn(memoryDir: string): Place {
  return {
    link: join(memoryDir, '.claude/skills'),
    setsDir: join(memoryDir, '.claude/skill-sets'),
    userDir: join(memoryDir, 'skills'),
  };
}

/** As the link at `place.link` holds it. */
export function linkTextOf(id: string): string {
  return `skill-sets/${id}`;
}

/** Null for a link that is none of ours. */
export function idOfLinkText(text: string): string | null {
  const [folder, id, ...more] = text.split('/');
  return folder === 'skill-sets' && id !== undefined && more.length === 0 && isSetId(id) ? id : null;
}

export function newSetId(kind: '' | 'found-' | 'later-' = ''): string {
  return `${kind}${randomUUID()}`;
}

/** Of a set that was not built: its contents are somebody's. */
export function isFoundId(id: string): boolean {
  return id.startsWith('found-') || isLaterId(id);
}

export function isLaterId(id: string): boolean {
  return id.startsWith('later-');
}

export function setPath(place: Place, id: string): string {
  return join(place.setsDir, id);
}

export function manifestPath(place: Place, id: string): string {
  return join(place.setsDir, `${id}.json`);
}

export function nextLinkPath(place: Place, id: string): string {
  return join(place.setsDir, `${id}.link`);
}

export function newTemporaryPath(place: Place): string {
  return join(place.userDir, `.picoclaw-${randomUUID()}`);
}

const uuid = '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const temporaryName = new RegExp(`^\\.picoclaw-${uuid}$`);
const setId = new RegExp(`^(found-|later-)?${uuid}$`);

/** Of a name in `userDir`. */
export function isTemporaryName(name: string): boolean {
  return temporaryName.test(name);
}

/** The set that a name in `setsDir` belongs to; null for what is not ours. */
export function setIdOf(name: string): string | null {
  const id = name.replace(/\.(json|link)$/, '');
  return isSetId(id) ? id : null;
}

function isSetId(text: string): boolean {
  return setId.test(text);
}
