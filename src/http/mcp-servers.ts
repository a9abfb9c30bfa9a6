/**
 * `mcp_servers` of a request: the MCP servers that the agent may use in one run, by name. Whatever would make the
 * agent's process fail later, such as a header that is no header, is refused here with its path.
 */

import { z } from '@hono/zod-openapi';

/** The name of the server's own tools. */
const reservedName = 'picoclaw';

const serverName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, { error: 'must be a name of 1 to 64 letters, digits, "_" or "-"' })
  .refine((name) => name !== reservedName, {
    error: `must not be "${reservedName}", which is the name of the built-in tools`,
  });

const headers = z.record(
  z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, { error: 'must be the name of an HTTP header' }),
  z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'must be the value of an HTTP header, without line breaks' }),
);

const environment = z.record(
  z.string().regex(/^[^=\0]+$/, { error: 'must be the name of an environment variable' }),
  z.string(),
);

const httpServer = z
  .strictObject({
    type: z.enum(['http', 'sse']).default('http'),
    url: z
      .string()
      .refine(isHttpUrl, { error: 'must be an http or https URL without a user or password in it' })
      .openapi({
        format: 'uri',
        example: 'https://mcp.example.com/mcp',
      }),
    headers: headers.optional().openapi({ description: 'Sent with every request to it.' }),
  })
  .openapi('HttpMcpServer');

const stdioServer = z
  .strictObject({
    type: z.literal('stdio').default('stdio'),
    command: z.string().min(1),
    args: z.array(z.string()).optional(),
    env: environment.optional(),
  })
  .openapi('StdioMcpServer', {
    description: 'Runs a command on the server: a 403 unless the server has ALLOW_STDIO_MCP=true.',
  });

export const mcpServers = z.record(serverName, z.union([httpServer, stdioServer])).openapi({
  description:
    'MCP servers for this run, by name (1 to 64 letters, digits, `_`, `-`; not `picoclaw`). `type` may be left out: ' +
    '`stdio` with a `command`, else `http`.',
  example: { search: { url: 'https://mcp.example.com/mcp', headers: { Authorization: 'Bearer …' } } },
});

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
