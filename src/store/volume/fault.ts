/** What is wrong with a volume or a disk, in words for whoever looks at the server's health: without a path. */

import { codeOf, isGone, messageOf } from '../../lib/error-code.ts';
import { LogRemoved } from './wal-writer.ts';

const words: Record<string, string> = {
  ENOSPC: 'the volume is full',
  EDQUOT: "the volume's quota is used up",
  EROFS: 'the volume is read-only',
  EIO: 'the volume has an I/O error',
  EACCES: 'the volume may not be written to by this user',
  EPERM: 'the volume may not be written to by this user',
  ENOTDIR: 'the volume is not there',
  ENOTCONN: 'the volume is not connected',
  ETIMEDOUT: 'the volume does not answer',
};

/** Where the volume is copied to there is no room: no fault of the volume's. */
export class LocalDiskFull extends Error {
  constructor(path: string, cause: unknown) {
    super(`the local disk has no room for ${path} (LOCAL_DB_PATH)`, { cause });
    this.name = 'LocalDiskFull';
  }
}

/** SQLITE_FULL, https://www.sqlite.org/rescode.html. */
const sqliteFull = 13;

export function isFull(error: unknown): boolean {
  if (error instanceof Error && 'errcode' in error) return error.errcode === sqliteFull;
  return ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');
}

export function describeFault(error: unknown): string {
  if (error instanceof LogRemoved) return messageOf(error);
  if (error instanceof LocalDiskFull) return 'the local disk is full';
  if (isGone(error)) return 'something on the volume is not there any more';
  return words[codeOf(error) ?? ''] ?? 'the volume cannot be used; the log says why';
}
