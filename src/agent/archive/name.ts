/** The name of an archive: the day, and what the conversation began with, in any script; pure. */

import { parsePrompt } from '../../domain/prompt.ts';

/** Of 255 that a file system allows, 143 on some; the day, a number and the ending come to it. */
const maxBytes = 120;
/** Of a long message only the beginning is looked at. */
const maxCharacters = 1_000;

/** `first`: the conversation's first message; null when there is none. */
export function toArchiveStem(input: {
  at: string;
  timezone: string;
  first: string | null;
  sessionId: string;
}): string {
  const { at, timezone, first, sessionId } = input;
  return `${localDay(at, timezone)}-${toSlug(first ?? '') || sessionId}`;
}

/** Of a prompt of ours the first message, which need not be the assistant's own; any other prompt as it is. */
export function firstMessageOf(prompt: string): string {
  const messages = parsePrompt(prompt)?.messages;
  if (messages === undefined) return prompt;
  return (messages.find(({ role }) => role === 'user') ?? messages[0])?.content ?? '';
}

/** Letters and digits stay, with the marks that belong to them; whatever else is between them becomes one "-". */
function toSlug(text: string): string {
  const words =
    text
      .slice(0, maxCharacters)
      .normalize('NFC')
      .match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}]*/gu) ?? [];
  let slug = '';
  let bytes = 0;
  // Never within a character, as a reader counts them.
  for (const { segment } of new Intl.Segmenter().segment(words.join('-'))) {
    bytes += Buffer.byteLength(segment);
    if (bytes > maxBytes) break;
    slug += segment;
  }
  return slug.replace(/-$/, '');
}

/** YYYY-MM-DD. */
function localDay(at: string, timezone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short' }).format(new Date(at));
}
