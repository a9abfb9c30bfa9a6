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
  const lines = messages.map((message) => renderMessage(message, timezone));
  if (omitted > 0) lines.unshift(`<omitted messages="${omitted}" />`);
  return `<context timezone="${escapeXml(timezone)}" />\n<messages>\n${lines.join('\n')}\n</messages>`;
}

function renderMessage(message: Message, timezone: string): string {
  const role = message.role === 'assistant' ? ' role="assistant"' : '';
  const sender = escapeXml(message.senderName);
  const time = escapeXml(localTime(message.createdAt, timezone));
  return `<message sender="${sender}"${role} time="${time}">${escapeXml(message.content)}</message>`;
}

function localTime(utc: string, timezone: string): string {
  return new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
    hour12: true,
  }).format(new Date(utc));
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
