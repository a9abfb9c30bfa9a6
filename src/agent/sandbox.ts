/**
 * The sandbox of a claude process and of everything that it starts: bubblewrap.
 *
 * What is in it:
 * - processes of its own: the server and the other conversations' processes are not there to be looked at or signalled, and
 *   all that was started in it ends with it;
 * - the machine's files, read only; the memory folder and the process's own folder may be written, and /tmp is its own;
 * - the server's files (the database and its volume, a `.env`) and what is in /run, such as a container engine's socket, are
 *   not there.
 * The network is the host's. As root it has no more rights than files of other users need.
 */

import { execFile } from 'node:child_process';
import { readlink, realpath, stat } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { promisify } from 'node:util';

export type SandboxMode = 'auto' | 'on' | 'off';

export type SandboxInput = {
  /** Absolute paths. What is not there is left out. */
  writable: string[];
  /** Where a hidden or private folder would cover them. */
  readable: string[];
  hidden: string[];
  /** Of what is writable, this is not. */
  sealed: string[];
  /** What is seen as /tmp. */
  tempDir: string;
};

export type SandboxProbe = { works: true } | { works: false; reason: string };

/** The rights of root in it: to files of other users, and to start as another. */
const rootRights = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_KILL', 'CAP_SETGID', 'CAP_SETUID'];

/**
 * Sockets of the machine's services are there: whoever may speak to a container engine, or to systemd, is root on the host.
 * And what a platform mounts for the server.
 */
const hiddenAnyway = ['/run', '/var/run'];

/** What programs need of it: how names are resolved, and where all programs are (NixOS). A link may lead there too. */
const neededAnyway = [
  '/etc/resolv.conf',
  '/run/systemd/resolve',
  '/run/resolvconf',
  '/run/NetworkManager/resolv.conf',
  '/run/current-system',
];

/** Up to the command: what follows is run in the sandbox. */
export async function makeSandboxArgs(input: SandboxInput): Promise<string[]> {
  const [readable, writable, sealed, hidden] = await Promise.all(
    [[...input.readable, ...neededAnyway], input.writable, input.sealed, [...input.hidden, ...hiddenAnyway]].map(
      realPaths,
    ),
  );
  const [masks, links] = await Promise.all([
    Promise.all((hidden ?? []).map(maskOf)),
    Promise.all(neededAnyway.filter((path) => hiddenAnyway.some((folder) => isInside(path, folder))).map(linkAt)),
  ]);
  const mounts: Mount[] = [
    { path: '/tmp', args: ['--bind', input.tempDir, '/tmp'] },
    { path: '/var/tmp', args: ['--tmpfs', '/var/tmp'] },
    ...(readable ?? []).map((path) => ({ path, args: ['--ro-bind', path, path] })),
    ...(writable ?? []).map((path) => ({ path, args: ['--bind', path, path] })),
    ...(sealed ?? []).map((path) => ({ path, args: ['--ro-bind', path, path] })),
    ...[...masks, ...links].filter((mount) => mount !== null),
  ];
  return [
    ...['--unshare-pid', '--unshare-ipc', '--die-with-parent'],
    ...['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    // A mount covers what lies below it, so the deeper ones come later.
    ...mounts.toSorted((a, b) => depthOf(a.path) - depthOf(b.path)).flatMap(({ args }) => args),
    ...(process.getuid?.() === 0 ? ['--cap-drop', 'ALL', ...rootRights.flatMap((right) => ['--cap-add', right])] : []),
    '--',
  ];
}

/**
 * The folder to cover for a file that comes and goes, such as a database: what is not there when a sandbox is made cannot be
 * covered by itself. None where it is needed; what is needed in it is seen all the same.
 */
export function coverOf(file: string, needed: string[]): string[] {
  const folder = dirname(file);
  // /tmp is the sandbox's own as it is.
  return folder === sep || folder === '/tmp' || needed.some((each) => isInside(folder, each)) ? [] : [folder];
}

const probeMs = 10_000;

/**
 * Starts one: no list of requirements tells whether a kernel, a container and its profile allow it, or whether what is on a
 * volume can be mounted again.
 */
export async function probeSandbox(input: Partial<SandboxInput> = {}): Promise<SandboxProbe> {
  if (process.platform !== 'linux') return { works: false, reason: 'it needs Linux' };
  try {
    const args = await makeSandboxArgs({
      ...{ writable: [], readable: [], hidden: [], sealed: [], tempDir: '/tmp' },
      ...input,
    });
    await promisify(execFile)('bwrap', [...args, 'true'], { timeout: probeMs });
    return { works: true };
  } catch (error) {
    return { works: false, reason: whyNot(error) };
  }
}

/** Of those that are there: nothing can be mounted on a link, and where it leads is seen through it. */
async function realPaths(paths: string[]): Promise<string[]> {
  const real = await Promise.all(paths.map((path) => realpath(path).catch(() => null)));
  return [...new Set(real.filter((path) => path !== null))];
}

type Mount = { path: string; args: string[] };

/** A link below a folder that is covered is made again; what it leads to is bound where that is. */
async function linkAt(path: string): Promise<Mount | null> {
  const target = await readlink(path).catch(() => null);
  return target === null ? null : { path, args: ['--symlink', target, path] };
}

async function maskOf(path: string): Promise<Mount | null> {
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  return { path, args: found.isDirectory() ? ['--tmpfs', path] : ['--ro-bind', '/dev/null', path] };
}

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}

function depthOf(path: string): number {
  return path.split(sep).length;
}

function whyNot(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && error.code === 'ENOENT')
    return 'bubblewrap (bwrap) is not installed; install it, and let it make namespaces';
  const said = 'stderr' in error ? String(error.stderr).trim() : '';
  return `${said === '' ? error.message : said.slice(0, 300)}; let bubblewrap make namespaces`;
}
