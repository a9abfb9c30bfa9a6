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

export function describeFault(error: unknown): string {
  if (error instanceof LogRemoved) return messageOf(error);
  if (isGone(error)) return 'something on the volume is not there any more';
  return words[codeOf(error) ?? ''] ?? 'the volume cannot be used; the log says why';
}
