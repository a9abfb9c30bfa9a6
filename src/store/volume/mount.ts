/**
 * Which file system a folder is on, and whether a volume can be kept there.
 *
 * - `nocto` on NFS is refused: without close-to-open consistency a listing of the baton may be answered from a cache, and an
 *   instance that was taken over would go on answering.
 * - An object store behind FUSE renames by copying and deleting, so two takeovers can both succeed, and it flushes whole
 *   objects. What was answered is not safe there. It is told at a start and not refused, because one instance alone on it
 *   did its work with PicoClaw 1.x; whoever asks for a verdict (`doctor`) is told that it is none that can be relied on.
 * - Linux alone says what is mounted; elsewhere nothing is known, and nothing is said.
 */

import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf, isGone } from '../../lib/error-code.ts';

export type Mount = {
  mountPoint: string;
  type: string;
  /** The device, the server's export, the bucket. */
  source: string;
  /** Of the mount and of the file system. */
  options: string[];
};

/** `unsafe`: what was answered may be lost there. `ephemeral`: it goes with the machine. Both in words, after the folder's name. */
export type MountVerdict = { kind: 'fit' } | { kind: 'refused' | 'unsafe' | 'ephemeral'; reason: string };

/** Null where it is not known. `path` need not be there yet. */
export async function findMount(path: string): Promise<Mount | null> {
  let text: string;
  try {
    text = await readFile('/proc/self/mountinfo', 'utf8');
  } catch {
    return null;
  }
  return mountOf(parseMounts(text), await realPathOf(path));
}

/** proc_pid_mountinfo(5). Lines of another form are left out. */
export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line): Mount[] => {
    const [own = '', fileSystem] = line.split(' - ', 2);
    const [, , , , mountPoint, ownOptions] = own.split(' ');
    const [type, source, superOptions = ''] = fileSystem?.split(' ') ?? [];
    if (mountPoint === undefined || ownOptions === undefined || type === undefined || source === undefined) return [];
    const options = [...ownOptions.split(','), ...superOptions.split(',')].filter((option) => option !== '');
    return [
      { mountPoint: unescapeOctal(mountPoint), type, source: unescapeOctal(source), options: [...new Set(options)] },
    ];
  });
}

/** The longest mount point that holds the path; of two on the same one, the later, which covers the other. */
export function mountOf(mounts: Mount[], path: string): Mount | null {
  const holding = mounts.filter(({ mountPoint }) => isWithin(path, mountPoint));
  return holding.reduce<Mount | null>(
    (best, mount) => (best === null || mount.mountPoint.length >= best.mountPoint.length ? mount : best),
    null,
  );
}

export function judgeMount({ type, source, options }: Mount): MountVerdict {
  if (isNfs(type) && options.includes('nocto'))
    return {
      kind: 'refused',
      reason: `is mounted with nocto (${type}, ${source}), so that another instance's takeover is not seen in time: mount it without`,
    };
  const objectStore = objectStoreOf(type, source);
  if (objectStore !== null)
    return {
      kind: 'unsafe',
      reason: `is an object store behind ${objectStore}, which has no atomic rename: what was answered can be lost; use a block or NFS volume`,
    };
  if (ephemeralTypes.has(type))
    return {
      kind: 'ephemeral',
      reason: `is on ${type}, which is gone with the ${memoryTypes.has(type) ? 'machine' : 'container'}: mount a persistent volume there`,
    };
  return { kind: 'fit' };
}

const memoryTypes = new Set(['tmpfs', 'ramfs', 'devtmpfs']);
const ephemeralTypes = new Set([...memoryTypes, 'overlay', 'overlayfs', 'aufs']);

/** Programs that show a bucket as a folder. JuiceFS keeps its names in a database, and renames as a file system does. */
const objectStores = new Set([
  'blobfuse',
  'blobfuse2',
  'cosfs',
  'gcsfuse',
  'geesefs',
  'goofys',
  'mount-s3',
  'mountpoint-s3',
  'obsfs',
  'ossfs',
  'ossfs2',
  'rclone',
  's3fs',
]);

/** The program is in the type (`fuse.s3fs`), or is the type; some leave it plain `fuse` and name themselves as the source. */
function objectStoreOf(type: string, source: string): string | null {
  const program = type === 'fuse' ? basename(source) : type.replace(/^fuse\./, '');
  return objectStores.has(program.toLowerCase()) ? program.toLowerCase() : null;
}

function isNfs(type: string): boolean {
  return type === 'nfs' || type === 'nfs4';
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** Space, tab, line feed and backslash are written as `\040` and the like, in bytes. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Of what is not there: where it would be made. */
export async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const above = dirname(path);
    if (above === path || !(isGone(error) || codeOf(error) === 'ENOTDIR')) return path;
    return join(await realPathOf(above), basename(path));
  }
}
