/**
 * MCP servers, by name: those that a request names and those of the organisation's file. Whatever would make the agent's
 * process fail later, such as a header that is no header, is refused with its path.
 */

import { z } from 'zod';

/** The name of the MCP server with our own tools. No other may have it. */
export const toolServerName = 'picoclaw';

export const serverName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'must be a name of 1 to 64 letters, digits, "_" or "-"' })
  .refine((name) => name !== toolServerName, {
    error: `must not be "${toolServerName}", which is the name of the built-in tools`,
  });

const headers = z.record(
  z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, { error: 'must be the name of an HTTP header' }),
  z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'must be the value of an HTTP header, without line breaks' }),
);

/** What a process is given ends at a NUL, so Node refuses to start one with it. */
const processText = z.string().regex(/^[^\0]*$/, { error: 'must be without a NUL character' });

const environment = z.record(
  z.string().regex(/^[^=\0]+$/, { error: 'must be the name of an environment variable' }),
  processText,
);

export const httpServer = z.strictObject({
  type: z.enum(['http', 'sse']).default('http'),
  url: z
    .string()
    .refine(isHttpUrl, { error: 'must be an http or https URL without a user or password in it', abort: true })
    // A URL's parser drops some of them silently, such as the line break with which a variable from a file ends.
    .refine((url) => !/[\s\p{Cc}]/u.test(url), { error: 'must have no white space or control characters' }),
  headers: headers.optional(),
});

export const stdioServer = z.strictObject({
  type: z.literal('stdio').default('stdio'),
  command: z
    .string()
    .regex(/^\s*[^\s\0][^\0]*$/, { error: 'must be a command: not blank, and without a NUL character' }),
  args: z.array(processText).optional(),
  env: environment.optional(),
});

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
