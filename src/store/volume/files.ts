/** What `node:fs` lacks for files that must survive a power cut. */

import { type FileHandle, open } from 'node:fs/promises';

/** Flushes a folder, without which a rename, a link or a new file in it can be undone by a crash. */
export async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

/** A new file, written and flushed. */
export async function writeFlushed(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx');
  await file.writeFile(text);
  await file.datasync();
}

/** However many writes that takes. */
export async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

const chunkBytes = 1024 * 1024;

/**
 * From the beginning of one file to the beginning of another, a piece at a time, so that the event loop goes on. Returns how
 * many bytes there were.
 */
export async function copyBytes(
  from: FileHandle,
  to: FileHandle,
  onChunk?: (chunk: Buffer) => void | Promise<void>,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (let copied = 0; ; ) {
    const { bytesRead } = await from.read(buffer, 0, chunkBytes, copied);
    if (bytesRead === 0) return copied;
    const chunk = buffer.subarray(0, bytesRead);
    await writeAll(to, chunk, copied);
    copied += bytesRead;
    await onChunk?.(chunk);
  }
}
