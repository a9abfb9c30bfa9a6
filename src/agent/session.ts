/** Which session a run goes into, given what is asked for and what is there; pure. */

import type { Transcript } from './transcripts.ts';

export type SessionChoice =
  | { kind: 'create'; id: string }
  | { kind: 'resume'; id: string }
  /** A new session, told of the past by the caller's fresh prompt. */
  | { kind: 'fresh'; because: string };

export function decideSession(
  request: { sessionId: string; resume: boolean },
  transcript: Pick<Transcript, 'state'>,
): SessionChoice {
  switch (transcript.state) {
    case 'usable':
      // Also where a new session was asked for: an earlier run of it was cut off before its caller heard of it, and the
      // CLI refuses an id that has a transcript.
      return { kind: 'resume', id: request.sessionId };
    case 'missing':
      return request.resume
        ? { kind: 'fresh', because: 'its transcript is gone' }
        : { kind: 'create', id: request.sessionId };
    case 'unusable':
      return { kind: 'fresh', because: 'its transcript holds nothing that can be read' };
    default:
      return transcript.state satisfies never;
  }
}

/** What the CLI says, on stderr or as an error, when it will not open a session; null for any other failure. */
export function refusalOf(said: string): string | null {
  if (said.includes('No conversation found with session ID')) return 'the agent did not find it';
  if (/Session ID \S+ is already in use/.test(said)) return 'its id is taken';
  return null;
}
