/** Reads a file that somebody else may have put there: a pipe in its place does not block, one of /proc does not grow. */

import { constants, open } from 'node:fs/promises';

/** The first bytes, as text; no more than the file says it has. Rejects for what is no file. */
export async function readHead(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error('not a file');
    const buffer = Buffer.alloc(Math.min(found.size, maxBytes));
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) return buffer.toString('utf8', 0, length);
    }
  } finally {
    await file.close();
  }
}
