/**
 * What the model is given for a run: the messages that its session has not seen, in the envelope of PicoClaw 1.x; and what
 * is read back from it where only the session's transcript is left.
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

/** `time` is as the model read it, in the prompt's zone. */
export type PromptMessage = { role: Message['role']; senderName: string; time: string; content: string };

export type ParsedPrompt = { timezone: string; messages: PromptMessage[]; omitted: number };

/** The inverse of `renderPrompt`; null for what it did not make. */
export function parsePrompt(text: string): ParsedPrompt | null {
  const [, timezone, omitted, body] = envelopePattern.exec(text) ?? [];
  if (timezone === undefined || body === undefined) return null;
  const messages: PromptMessage[] = [];
  let at = 0;
  for (const found of body.matchAll(messagePattern)) {
    const [whole, sender = '', assistant, time = '', content = ''] = found;
    if (found.index !== at) return null;
    at += whole.length;
    messages.push({
      role: assistant === undefined ? 'user' : 'assistant',
      senderName: unescapeXml(sender),
      time: unescapeXml(time),
      content: unescapeXml(content),
    });
  }
  return at === body.length ? { timezone: unescapeXml(timezone), messages, omitted: Number(omitted ?? 0) } : null;
}

const envelopePattern =
  /^<context timezone="([^"<>]*)" \/>\n<messages>\n(?:<omitted messages="(\d+)" \/>\n)?([\s\S]*?)\n?<\/messages>$/;
const messagePattern = /<message sender="([^"<>]*)"( role="assistant")? time="([^"<>]*)">([^"<>]*)<\/message>(?:\n|$)/g;

function renderMessage(message: Message, toLocalTime: (utc: string) => string): string {
  const role = message.role === 'assistant' ? ' role="assistant"' : '';
  const sender = escapeXml(message.senderName);
  const time = escapeXml(toLocalTime(message.createdAt));
  return `<message sender="${sender}"${role} time="${time}">${escapeXml(message.content)}</message>`;
}

/** What is no time is shown as it is: PicoClaw 1.x may have stored one. */
export function makeLocalTime(timezone: string): (utc: string) => string {
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

const entities = { amp: '&', lt: '<', gt: '>', quot: '"' };

function unescapeXml(text: string): string {
  return text.replace(/&(amp|lt|gt|quot);/g, (_, name: keyof typeof entities) => entities[name]);
}
