/**
 * What lies where below MEMORY_DIR:
 *
 *     .claude/skills                  a link to the set that is installed
 *     .claude/skill-sets/<id>/        a set: built-in and org skills as copies, user skills as links to skills/
 *     .claude/skill-sets/<id>.json    its manifest, written last: a set without one is not finished
 *     .claude/skill-sets/<id>.link    for a moment: the link that is about to replace the other
 *     .claude/skill-sets/<id>.gone    for a moment: what is about to be removed
 *     .claude/skill-sets/found-<id>/  a folder that was in the place of the link: of 1.x, or made by the agent
 *     skills/                         the user skills, the agent's own among them
 *     skills/.picoclaw-<id>/          for a moment: what is being copied there from another file system
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

export function newSetId(): string {
  return randomUUID();
}

export function newFoundId(): string {
  return `found-${randomUUID()}`;
}

export function isFoundId(id: string): boolean {
  return id.startsWith('found-');
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

export function gonePath(place: Place, id: string): string {
  return join(place.setsDir, `${id}.gone`);
}

export function temporaryPath(place: Place): string {
  return join(place.userDir, `${temporaryPrefix}${randomUUID()}`);
}

/** Of a name in `userDir`. */
export function isTemporaryName(name: string): boolean {
  return name.startsWith(temporaryPrefix);
}

const temporaryPrefix = '.picoclaw-';

/** The set that a name in `setsDir` belongs to; null for what is not ours. */
export function setIdOf(name: string): string | null {
  const id = name.replace(/\.(json|link|gone)$/, '');
  return isSetId(id) ? id : null;
}

function isSetId(text: string): boolean {
  return /^(found-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
