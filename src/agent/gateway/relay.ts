/**
 * One request passed on to the upstream, and its answer passed back.
 *
 * The body of a request is read whole before the upstream hears of it. It comes from the memory of a process on this
 * machine, in a millisecond a megabyte, and is at most a few megabytes; held, it can be sent once more on a fresh connection
 * where the one in hand turns out to be dead, and the upstream never sees half a request. An answer is never held: each
 * chunk passes as it comes, at the pace at which the process reads.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { codeOf, messageOf } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import type { Credential } from '../environment.ts';
import { blotText, createBlotter } from './blot.ts';
import { toClientHeaders, toUpstreamHeaders } from './headers.ts';
import type { Meter } from './meter.ts';
import { errorBody, type Refusal, refuse } from './refusal.ts';
import type { Upstream } from './upstream.ts';

export type RelayDeps = { upstream: Upstream; credential: Credential; log: Log };

export type Held = { bytes: number };

export type Relayed = {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  /** Path and query. */
  target: string;
  placeholder: string;
  /** What is in hand of the process's requests, this one included. */
  held: Held;
  /** Null for an answer that costs nothing. */
  meter: Meter | null;
};

/** The model API takes 32 MB, and is to be the one that says so; a bound only for what nothing else bounds. */
const maxBodyBytes = 40_000_000;

/** Of one process: more than a run with its subagents has under way, and less than what would end the server for all. */
const maxHeldBytes = 3 * maxBodyBytes;

/** Resolves when the answer has been passed back or either side is gone. */
export async function relay(deps: RelayDeps, relayed: Relayed): Promise<void> {
  const { incoming, outgoing, target, placeholder, held } = relayed;
  const gone = new AbortController();
  let bytes = 0;
  outgoing.once('close', () => {
    gone.abort();
    held.bytes -= bytes;
    bytes = 0;
  });

  const body = await readBody(incoming, (read) => {
    bytes += read;
    held.bytes += read;
    if (bytes > maxBodyBytes) return tooLarge;
    return held.bytes > maxHeldBytes ? tooMuchAtOnce : null;
  });
  if (body === null) return void outgoing.destroy();
  if ('status' in body) {
    // The next request on this connection comes after the rest of this one.
    incoming.resume();
    return refuse(outgoing, body);
  }

  const { method = 'GET' } = incoming;
  const headers = toUpstreamHeaders(incoming, { placeholder, credential: deps.credential });
  const asked = { method, target, headers, body, signal: gone.signal };
  const answer = await deps.upstream.ask(asked).catch((error: unknown) => {
    if (!gone.signal.aborted) tell(deps, error, 'the model API cannot be reached');
    return null;
  });
  if (answer === null) return void outgoing.destroy();
  await passBack(deps, relayed, answer, gone.signal);
}

async function passBack(
  deps: RelayDeps,
  { outgoing, meter }: Relayed,
  answer: IncomingMessage,
  gone: AbortSignal,
): Promise<void> {
  const { statusCode = 502 } = answer;
  const isError = statusCode >= 400;
  const isPlain = (answer.headers['content-encoding'] ?? 'identity') === 'identity';
  // Before anything else listens, and before `outgoing` is closed in consequence.
  answer.once('error', (error) => {
    if (!gone.aborted) tell(deps, error, 'the model API broke off an answer');
  });
  const blot = (text: string) => blotText(text, deps.credential.value);
  outgoing.sendDate = false;

  if (isError && !isPlain) {
    // What cannot be searched for the credential is not passed on.
    answer.resume();
    const headers = toClientHeaders(answer, { blot, without: ['content-length', 'content-encoding', 'content-type'] });
    outgoing.writeHead(statusCode, [...headers, 'content-type', 'application/json']).end(errorBody(hiddenError));
    return;
  }
  outgoing.writeHead(statusCode, toClientHeaders(answer, { blot, without: isError ? ['content-length'] : [] }));
  // The CLI has a watch over their coming; node would keep them for the first bytes of the body.
  outgoing.flushHeaders();

  if (meter !== null && !isError) {
    if (isPlain) meter.read(answer);
    else deps.log.warn('the model API compresses its answers, unasked: what they cost is not counted');
  }
  try {
    await (isError ? pipeline(answer, createBlotter(deps.credential.value), outgoing) : pipeline(answer, outgoing));
  } catch {
    // Told above, or the process is gone; the pipeline has destroyed both sides.
  }
}

function tell({ upstream, credential, log }: RelayDeps, error: unknown, what: string): void {
  const reason = blotText(messageOf(error), credential.value);
  log.warn({ upstream: upstream.origin, code: codeOf(error), reason }, what);
}

/** Null when it was cut; `refused` is asked after each chunk. */
async function readBody(
  incoming: IncomingMessage,
  refused: (bytes: number) => Refusal | null,
): Promise<Buffer | Refusal | null> {
  const chunks: Buffer[] = [];
  try {
    // Left open on a body that is refused: what refuses it has yet to be sent.
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk);
      const refusal = refused(chunk.length);
      if (refusal !== null) return refusal;
    }
  } catch {
    return null;
  }
  return Buffer.concat(chunks);
}

const tooLarge: Refusal = {
  status: 413,
  type: 'request_too_large',
  message: `the request is larger than ${maxBodyBytes / 1_000_000} MB`,
};

const tooMuchAtOnce: Refusal = {
  status: 429,
  type: 'rate_limit_error',
  message: `the process has more than ${maxHeldBytes / 1_000_000} MB of requests under way`,
};

const hiddenError = {
  type: 'api_error',
  message: 'the model API refused the request; its words are not passed on, since they came compressed, unasked',
} as const;
