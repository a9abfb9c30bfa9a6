/**
 * Reads a request's JSON body, at most 1 MB of it, whatever the client declares about its length.
 */

import { invalidRequest } from '../domain/invalid-request.ts';
import { Problem } from '../domain/problem.ts';
import { describe } from '../lib/check.ts';
import type { AppContext } from './context.ts';
import { parseJson } from './json.ts';

/** As in PicoClaw 1.x: "1mb" of its body parser. */
const maxBodyBytes = 1_048_576;

/** Undefined when the body is empty. Throws a `Problem`: 400, 413, 415. */
export async function readJson(c: AppContext): Promise<unknown> {
  requireJsonType(c);
  const bytes = await readBytes(c);
  if (bytes.byteLength === 0) return undefined;
  const parsed = parseJson(decode(bytes));
  switch (parsed.kind) {
    case 'value':
      return parsed.value;
    case 'malformed':
      throw new Problem('malformed_json', `the body is not valid JSON: ${parsed.message}`);
    case 'faulty':
      throw invalidRequest(parsed.faults);
    default:
      return parsed satisfies never;
  }
}

function requireJsonType(c: AppContext): void {
  const type = c.req.header('content-type');
  if (type !== undefined && !/^application\/json\s*(;\s*(charset\s*=\s*"?utf-8"?\s*;?\s*)?)?$/i.test(type.trim()))
    throw wrongMedia('send the body as application/json in UTF-8, or with no content type', type);
  const encoding = c.req.header('content-encoding');
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity')
    throw wrongMedia('send the body without a content encoding', encoding);
}

function wrongMedia(wanted: string, given: string): Problem {
  return new Problem('unsupported_media_type', `${wanted}; got ${describe(given)}`);
}

async function readBytes(c: AppContext): Promise<Uint8Array> {
  const tooLarge = () => new Problem('body_too_large', `the body is larger than ${maxBodyBytes} bytes`);
  if (Number(c.req.header('content-length') ?? 0) > maxBodyBytes) throw tooLarge();
  const stream = c.req.raw.body;
  if (stream === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await readNext(reader);
    if (done) return Buffer.concat(chunks, size);
    size += value.byteLength;
    if (size > maxBodyBytes) {
      // Not awaited: nothing depends on it, and the rest of the body may never come.
      void reader.cancel().catch(() => undefined);
      throw tooLarge();
    }
    chunks.push(value);
  }
}

/** A body that breaks off is the client's doing: nobody is left to answer, and it is no error of ours. */
async function readNext(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (cause) {
    throw new Problem('invalid_request', 'the body broke off before its end', { cause });
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Problem('malformed_json', 'the body is not UTF-8 text', { cause });
  }
}
