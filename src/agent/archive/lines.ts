/**
 * The lines of a transcript that the CLI may still be writing. What it has said already reaches the file some 100 ms later:
 * a reader at the end waits until what it knows of has come, for a while.
 */

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const chunkBytes = 262_144;
const pollMs = 20;

/** `isWhole` is asked at the end of what is there. The memory that it takes is that of the longest line. */
export async function* followLines(
  path: string,
  { isWhole, waitMs, signal }: { isWhole: () => boolean; waitMs: number; signal: AbortSignal },
): AsyncGenerator<string> {
  // Where the transcript was, the agent may have put a named pipe: opening that would never end, and holds a thread.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw new Error('the transcript is no file');
  const decoder = new TextDecoder();
  const buffer = Buffer.alloc(chunkBytes);
  let parts: string[] = [];
  let waitedMs = 0;
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, chunkBytes);
    if (bytesRead === 0) {
      if (isWhole() || waitedMs >= waitMs) break;
      waitedMs += pollMs;
      await sleep(pollMs, undefined, { signal });
      continue;
    }
    const lines = decoder.decode(buffer.subarray(0, bytesRead), { stream: true }).split('\n');
    for (const line of lines.slice(0, -1)) {
      yield parts.join('') + line;
      parts = [];
    }
    parts.push(lines.at(-1) ?? '');
  }
  const rest = parts.join('');
  if (rest !== '') yield rest;
}
