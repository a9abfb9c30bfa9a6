/** Blots a secret out of what passes: in a text, and in a stream wherever its chunks are cut. */

import { Transform } from 'node:stream';

const mark = '[credential]';

export function blotText(text: string, secret: string): string {
  return text.replaceAll(secret, mark);
}

/** Holds back only an end that may be the secret's beginning. `secret` must not be empty. */
export function createBlotter(secret: string): Transform {
  const needle = Buffer.from(secret);
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _, done) {
      const data = Buffer.concat([held, chunk]);
      let from = 0;
      for (let at = data.indexOf(needle); at !== -1; at = data.indexOf(needle, from)) {
        this.push(data.subarray(from, at));
        this.push(mark);
        from = at + needle.length;
      }
      const rest = data.subarray(from);
      const passed = rest.length - lengthOfBeginning(rest, needle);
      this.push(rest.subarray(0, passed));
      held = rest.subarray(passed);
      done();
    },
    flush(done) {
      this.push(held);
      done();
    },
  });
}

/** How many bytes at the end of `data` are the beginning of `needle`, but not all of it. */
function lengthOfBeginning(data: Buffer, needle: Buffer): number {
  let length = Math.min(data.length, needle.length - 1);
  while (length > 0 && !data.subarray(data.length - length).equals(needle.subarray(0, length))) length -= 1;
  return length;
}
