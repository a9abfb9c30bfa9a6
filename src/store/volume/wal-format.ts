/**
 * SQLite's write-ahead log as bytes (file format §4): a header, then frames; a frame is a page and the header that names it.
 *
 * - The checksums run on from the header through every frame, so a frame is valid only behind all those before it.
 * - A transaction ends with a frame that carries the size of the database; what lies behind the last such frame is not
 *   committed.
 * Pure: what reads and writes such files is `wal-reader.ts` and `wal-writer.ts`.
 */

export const walHeaderBytes = 32;
const frameHeaderBytes = 24;

export type Checksum = readonly [number, number];

export type WalHeader = {
  pageBytes: number;
  /** Eight bytes that every frame of this log repeats. */
  salts: bigint;
  isLittleEndian: boolean;
  /** From which the first frame's goes on. */
  checksum: Checksum;
};

/** Its last bit says in which byte order the words of a checksum are read. */
const magic = 0x377f0682;
const formatVersion = 3_007_000;
const smallestPageBytes = 512;
const largestPageBytes = 65_536;

export function makeWalHeader({ pageBytes, salts }: { pageBytes: number; salts: bigint }): {
  bytes: Buffer;
  header: WalHeader;
} {
  const bytes = Buffer.alloc(walHeaderBytes);
  bytes.writeUInt32BE(magic, 0);
  bytes.writeUInt32BE(formatVersion, 4);
  bytes.writeUInt32BE(pageBytes, 8);
  bytes.writeBigUInt64BE(salts, 16);
  const checksum = addToChecksum([0, 0], bytes.subarray(0, 24), true);
  bytes.writeUInt32BE(checksum[0], 24);
  bytes.writeUInt32BE(checksum[1], 28);
  return { bytes, header: { pageBytes, salts, isLittleEndian: true, checksum } };
}

/** Null for what is no header, or not a whole one. */
export function parseWalHeader(bytes: Buffer): WalHeader | null {
  if (bytes.length < walHeaderBytes) return null;
  const order = bytes.readUInt32BE(0) - magic;
  if (order !== 0 && order !== 1) return null;
  const pageBytes = bytes.readUInt32BE(8);
  if (bytes.readUInt32BE(4) !== formatVersion || !isPageSize(pageBytes)) return null;
  const isLittleEndian = order === 0;
  const checksum = addToChecksum([0, 0], bytes.subarray(0, 24), isLittleEndian);
  if (!isStored(bytes, 24, checksum)) return null;
  return { pageBytes, salts: bytes.readBigUInt64BE(16), isLittleEndian, checksum };
}

/** The running checksum behind the frame at `offset`; null when the frame is not valid after `before`. */
export function checkFrame(bytes: Buffer, offset: number, header: WalHeader, before: Checksum): Checksum | null {
  if (bytes.readUInt32BE(offset) === 0 || bytes.readBigUInt64BE(offset + 8) !== header.salts) return null;
  const checksum = frameChecksum(bytes, offset, header, before);
  return isStored(bytes, offset + 16, checksum) ? checksum : null;
}

/** Makes the frame at `offset`, of whichever log, the next one of this log. Returns the running checksum behind it. */
export function adoptFrame(bytes: Buffer, offset: number, header: WalHeader, before: Checksum): Checksum {
  bytes.writeBigUInt64BE(header.salts, offset + 8);
  const checksum = frameChecksum(bytes, offset, header, before);
  bytes.writeUInt32BE(checksum[0], offset + 16);
  bytes.writeUInt32BE(checksum[1], offset + 20);
  return checksum;
}

export function endsTransaction(bytes: Buffer, offset: number): boolean {
  return bytes.readUInt32BE(offset + 4) !== 0;
}

export function frameBytesOf({ pageBytes }: { pageBytes: number }): number {
  return frameHeaderBytes + pageBytes;
}

function frameChecksum(bytes: Buffer, offset: number, header: WalHeader, before: Checksum): Checksum {
  const named = addToChecksum(before, bytes.subarray(offset, offset + 8), header.isLittleEndian);
  const page = bytes.subarray(offset + frameHeaderBytes, offset + frameHeaderBytes + header.pageBytes);
  return addToChecksum(named, page, header.isLittleEndian);
}

/** Of a multiple of eight bytes. */
function addToChecksum([first, second]: Checksum, bytes: Buffer, isLittleEndian: boolean): Checksum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let s1 = first | 0;
  let s2 = second | 0;
  for (let at = 0; at < bytes.byteLength; at += 8) {
    s1 = (s1 + view.getInt32(at, isLittleEndian) + s2) | 0;
    s2 = (s2 + view.getInt32(at + 4, isLittleEndian) + s1) | 0;
  }
  return [s1 >>> 0, s2 >>> 0];
}

function isStored(bytes: Buffer, offset: number, checksum: Checksum): boolean {
  return bytes.readUInt32BE(offset) === checksum[0] && bytes.readUInt32BE(offset + 4) === checksum[1];
}

function isPageSize(bytes: number): boolean {
  return bytes >= smallestPageBytes && bytes <= largestPageBytes && (bytes & (bytes - 1)) === 0;
}
