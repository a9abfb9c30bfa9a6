/**
 * A transcript as a person or the agent reads it: Markdown; pure.
 *
 * A heading in square brackets begins each entry. No text can forge one: a line of its own that looks like one is
 * escaped. What tools were given and what they answered is fenced by more backticks than it has itself.
 */

import { makeLocalTime, parsePrompt } from '../../domain/prompt.ts';
import type { TranscriptEntry } from './entries.ts';

export type ArchiveHead = {
  /** UTC. */
  at: string;
  /** IANA. */
  timezone: string;
  /** Null for a task's isolated run. */
  conversationId: string | null;
  sessionId: string;
};

/** The session comes first, in characters of ours: by it the archive is found again, whatever the conversation's id is. */
export function renderHead({ at, timezone, conversationId, sessionId }: ArchiveHead): string {
  return `# Archived conversation

- Session: ${sessionId}
- Archived: ${makeLocalTime(timezone)(at)} (${timezone}), when the session was compacted
- Conversation: ${conversationId === null ? 'none' : JSON.stringify(conversationId)}
`;
}

/** Whose archive begins so; null for what `renderHead` did not write. The line of the session is enough of it. */
export function sessionOfArchive(head: string): string | null {
  return /^# Archived conversation\n\n- Session: (\S+)\n/.exec(head)?.[1] ?? null;
}

/** One renderer a transcript: it remembers which tool a result is of. */
export function makeEntryRenderer(timezone: string): (entry: TranscriptEntry) => string {
  const toLocalTime = makeLocalTime(timezone);
  const tools = new Map<string, string>();
  return (entry) => {
    switch (entry.kind) {
      case 'user':
        return renderUser(entry.text, toLocalTime(entry.at));
      case 'assistant':
        return section('## [assistant]', closeText(entry.text));
      case 'tool_call':
        tools.set(entry.id, entry.name);
        return section(`### [tool call] ${inLine(entry.name)}`, fence(JSON.stringify(entry.input, null, 2), 'json'));
      case 'tool_result': {
        const name = inLine(tools.get(entry.callId) ?? 'unknown');
        return section(`### [tool result] ${name}${entry.isError ? ' (error)' : ''}`, fence(entry.text));
      }
      case 'compacted':
        return section(`## [compacted] ${toLocalTime(entry.at)}`, 'The session went on with a summary of the above.');
      default:
        return entry satisfies never;
    }
  };
}

/** A prompt of ours is told message by message; any other as it is. */
function renderUser(text: string, localTime: string): string {
  const prompt = parsePrompt(text);
  if (prompt === null) return section(`## [user] ${localTime}`, closeText(text));
  const messages = prompt.messages.map(({ role, senderName, time, content }) =>
    section(`## [${role}] ${inLine(senderName)}, ${inLine(time)}`, closeText(content)),
  );
  if (prompt.omitted > 0) messages.unshift(`\n(${prompt.omitted} earlier messages are left out here.)\n`);
  return messages.join('');
}

function section(heading: string, body: string): string {
  return `\n${heading}\n\n${body}\n`;
}

/** For a heading: one line, whatever a sender calls himself. */
function inLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

const forgedHeading = /^(?=#{2,3} \[(?:user|assistant|tool call|tool result|compacted)\])/gm;

/** The text so that what follows it stands outside of it: an answer that was cut off often ends within a fence. */
function closeText(text: string): string {
  const open = openFence(text);
  return text.replace(forgedHeading, '\\') + (open === null ? '' : `\n${open}`);
}

/** The fence that is open at the end of the text (CommonMark 4.5); null when none is. */
function openFence(text: string): string | null {
  let open: string | null = null;
  for (const [, marks = '', info = ''] of text.matchAll(/^ {0,3}(`{3,}|~{3,})([^\n]*)$/gm)) {
    if (open === null) {
      if (marks.startsWith('~') || !info.includes('`')) open = marks;
    } else if (marks.startsWith(open) && info.trim() === '') open = null;
  }
  return open;
}

function fence(text: string, language = ''): string {
  let longest = 2;
  for (const [run] of text.matchAll(/`+/g)) longest = Math.max(longest, run.length);
  const marks = '`'.repeat(longest + 1);
  return `${marks}${language}\n${text}\n${marks}`;
}
