/** Which session a run goes into, given what is asked for and what is there; pure. */

import type { TranscriptState } from './transcripts.ts';

export type Session = { kind: 'create' | 'resume'; id: string };

export type SessionChoice =
  | { kind: 'use'; session: Session }
  /** A new session, told of the past by the caller's fresh prompt. */
  | { kind: 'fresh'; because: string };

export function decideSession(
  request: { sessionId: string; resume: boolean },
  transcript: TranscriptState,
): SessionChoice {
  const id = request.sessionId;
  switch (transcript) {
    case 'usable':
      // Also where a new session was asked for: an earlier run of it ended before its caller heard of it, and the CLI
      // refuses to create what exists.
      return { kind: 'use', session: { kind: 'resume', id } };
    case 'missing':
      return request.resume
        ? { kind: 'fresh', because: 'its transcript is gone' }
        : { kind: 'use', session: { kind: 'create', id } };
    case 'unusable':
      return { kind: 'fresh', because: 'its transcript holds nothing that can be read' };
    default:
      return transcript satisfies never;
  }
}

/** Why the CLI would not open a session, from what it said; null when that was about something else. */
export function refusalOf(said: string): string | null {
  if (said.includes('No conversation found with session ID')) return 'the agent found no conversation in it';
  if (/Session ID \S+ is already in use/.test(said)) return 'its id is in use';
  return null;
}
