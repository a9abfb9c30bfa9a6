/** The settings of `picoclaw mcp`: where the server is, and in whose name to act there. They are not the server's own. */

import { describeFaults, type Env, type Fault, readSetting } from '../config/read-setting.ts';
import { type Setting, secrets } from '../config/setting.ts';
import { textFault } from '../domain/text.ts';

export type McpSettings = {
  url: string;
  token: string | null;
  conversationId: string | null;
};

const url: Setting<string> = {
  variable: 'PICOCLAW_URL',
  description: 'Where the server is that the tools act on. A path in it is kept, for a server behind a gateway.',
  wants: 'an http or https URL without a user, password, query or fragment in it',
  parse: (value) => (isServerUrl(value.trim()) ? value.trim() : undefined),
  fallback: 'http://127.0.0.1:9000',
  defaultText: '`http://127.0.0.1:9000`',
};

const tokens = secrets({
  variable: 'API_TOKEN',
  description: 'A token of that server. Of several, separated by commas, the first is sent.',
});

const conversationId: Setting<string | null> = {
  variable: 'PICOCLAW_CONVERSATION_ID',
  description:
    'The conversation that the tools act in: `send_message` sends to it, and a task that names none belongs to it. Without it ' +
    '`send_message` is refused, and such a task runs in a session of its own.',
  wants: 'the id of a conversation',
  parse: (value) => (value.trim() !== '' && textFault(value) === null ? value.trim() : undefined),
  fallback: null,
  defaultText: 'none',
};

/** For the docs. */
export const mcpSettings: Setting<unknown>[] = [url, tokens, conversationId];

/** `faults` is the text for standard error; null when nothing is wrong. */
export function readMcpSettings(env: Env): { settings: McpSettings; faults: string | null } {
  const faults: Fault[] = [];
  const settings: McpSettings = {
    url: readSetting(env, url, faults),
    token: readSetting(env, tokens, faults)[0] ?? null,
    conversationId: readSetting(env, conversationId, faults),
  };
  return {
    settings,
    faults: faults.length === 0 ? null : describeFaults(faults.map(withoutPassword), '`picoclaw mcp`'),
  };

  function withoutPassword(fault: Fault): Fault {
    const given = fault.variable === url.variable ? URL.parse(env[url.variable] ?? '') : null;
    return given && given.password !== '' ? { ...fault, value: '(a URL with a password)' } : fault;
  }
}

function isServerUrl(text: string): boolean {
  const parsed = URL.parse(text);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return false;
  return parsed.username === '' && parsed.password === '' && !/[?#]/.test(text);
}
