/**
 * What the model is given for a run: the messages that its session has not seen, in the envelope of PicoClaw 1.x.
 *
 * Everything that comes from outside is escaped, so that no message can forge another's envelope. The assistant's own
 * earlier messages carry `role="assistant"`, which no caller's `sender_name` can produce.
 */

import type { Message } from './conversation.ts';

export type PromptInput = {
  /** IANA zone in which the times are shown. */
  timezone: string;
  messages: Message[];
  /** Earlier messages that are left out because there are too many; 0 says nothing. */
  omitted?: number;
};

export function renderPrompt({ timezone, messages, omitted = 0 }: PromptInput): string {
  const toLocalTime = makeLocalTime(timezone);
  const lines = messages.map((message) => renderMessage(message, toLocalTime));
  if (omitted > 0) lines.unshift(`<omitted messages="${omitted}" />`);
  return `<context timezone="${escapeXml(timezone)}" />\n<messages>\n${lines.join('\n')}\n</messages>`;
}

function renderMessage(message: Message, toLocalTime: (utc: string) => string): string {
  const role = message.role === 'assistant' ? ' role="assistant"' : '';
  const sender = escapeXml(message.senderName);
  const time = escapeXml(toLocalTime(message.createdAt));
  return `<message sender="${sender}"${role} time="${time}">${escapeXml(message.content)}</message>`;
}

/** What is no time is shown as it is: PicoClaw 1.x may have stored one. */
function makeLocalTime(timezone: string): (utc: string) => string {
  // Made once: making one takes longer than a hundred uses.
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
    hour12: true,
  });
  return (utc) => (Number.isNaN(Date.parse(utc)) ? utc : format.format(new Date(utc)));
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
