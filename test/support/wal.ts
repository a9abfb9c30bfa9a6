/** Write-ahead logs made by hand, after SQLite's file format §4.1 and apart from the code under test. */

const headerBytes = 32;
const frameHeaderBytes = 24;

/** The same log as a big-endian machine writes it: its checksums are of words in that order. */
export function toBigEndian(wal: Buffer): Buffer {
  const bytes = Buffer.from(wal);
  bytes.writeUInt32BE(0x377f0683, 0);
  let sums = addWords([0, 0], bytes.subarray(0, 24));
  writeSums(bytes, 24, sums);
  const frameBytes = frameHeaderBytes + bytes.readUInt32BE(8);
  for (let at = headerBytes; at + frameBytes <= bytes.length; at += frameBytes) {
    sums = addWords(sums, bytes.subarray(at, at + 8));
    sums = addWords(sums, bytes.subarray(at + frameHeaderBytes, at + frameBytes));
    writeSums(bytes, at + 16, sums);
  }
  return bytes;
}

type Sums = [number, number];

function addWords([one, other]: Sums, bytes: Buffer): Sums {
  let [s0, s1] = [BigInt(one), BigInt(other)];
  for (let at = 0; at < bytes.length; at += 8) {
    s0 = (s0 + BigInt(bytes.readUInt32BE(at)) + s1) % 2n ** 32n;
    s1 = (s1 + BigInt(bytes.readUInt32BE(at + 4)) + s0) % 2n ** 32n;
  }
  return [Number(s0), Number(s1)];
}

function writeSums(bytes: Buffer, at: number, [one, other]: Sums): void {
  bytes.writeUInt32BE(one, at);
  bytes.writeUInt32BE(other, at + 4);
}
