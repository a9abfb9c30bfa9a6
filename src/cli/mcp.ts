/**
 * `mcp`: the agent's tools over standard input and output, for any MCP client; they act on a running server over its HTTP API.
 *
 * - Standard output belongs to the protocol; what an operator should know goes to standard error.
 * - It ends with exit code 0 when its input ends, after the calls under way are answered, and at once on SIGTERM or SIGINT.
 * - A server that cannot be reached is an error of the tool that needs it: the client may start before the server.
 */

import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import manifest from '../../package.json' with { type: 'json' };
import { systemClock } from '../lib/clock.ts';
import { callTool } from '../tools/call-tool.ts';
import { makeMcpServer } from '../tools/mcp-server.ts';
import { makeBackendOverHttp } from '../tools/over-http.ts';
import { readMcpSettings } from './mcp-settings.ts';

export async function mcp(env: NodeJS.ProcessEnv): Promise<number> {
  const { settings, faults } = readMcpSettings(env);
  if (faults !== null) {
    process.stderr.write(faults);
    return 1;
  }
  const backend = makeBackendOverHttp({ fetch, ...settings });
  const underWay = new Set<Promise<unknown>>();
  const server = makeMcpServer({
    version: manifest.version,
    call: async (tool, args) => {
      const result = callTool({ backend, clock: systemClock, report }, tool, args);
      underWay.add(result);
      return result.finally(() => underWay.delete(result));
    },
  });
  server.server.onerror = (error) => tell(error.message);

  const broken = new Promise<number>((resolve) => {
    server.server.onclose = () => resolve(1);
  });
  const ended = inputEnd().then(async () => {
    await Promise.allSettled(underWay);
    // What follows on a result in promises, its writing, comes before the next turn.
    await turn();
    return 0;
  });
  const asked = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), once(process.stdout, 'error')]);
  await server.connect(new StdioServerTransport());
  return await Promise.race([broken, ended, asked.then(() => 0)]);
}

/** However it ends: a client that is killed may leave a broken pipe. */
function inputEnd(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve).on('error', resolve);
  });
}

function report(error: unknown, tool: string): void {
  tell(`${tool}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}

function tell(text: string): void {
  process.stderr.write(`picoclaw mcp: ${text}\n`);
}
