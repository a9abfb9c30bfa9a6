/** MCP servers behind the bridge, as the real claude process sees them. */

import { open, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { query, type SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { bridgeMcpServers } from '../../src/agent/mcp-bridge.ts';
import { spawnClaude } from '../../src/agent/spawn.ts';
import type { McpServer } from '../../src/domain/run.ts';
import { listen, serveFull } from '../support/agent-mcp-full.ts';
import { type Model, startModel } from '../support/model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const types = ['http', 'sse', 'stdio'] as const;

test.each(types)('the tools of a %s server are there from the first call on, and work', async (type) => {
  await using claude = await startClaude();
  await using full = await serveFull(type);
  // What the server asks in the middle of a call has the ids of the calls.
  claude.calls('ask', 'ask', 'ask', 'show', 'fail');

  const ran = await claude.run({ library: full.server });

  expect(ran.statuses).toEqual({ library: 'connected' });
  const [first, second] = claude.model.requests();
  expect(first?.body.tools?.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['mcp__library__show', 'mcp__library__ask', 'ListMcpResourcesTool']),
  );
  expect(first?.raw).toContain('Look before you leap');
  const results = resultsIn(second?.body.messages);
  const answers = JSON.stringify([{}, { error: -32601 }, { error: -32601 }]);
  for (const result of results.slice(0, 3)) expect(result).toMatchObject({ content: [{ text: answers }] });
  expect(JSON.stringify(results[3])).toContain('image/png');
  expect(results[4]).toMatchObject({ is_error: true, content: 'it failed' });
  expect(ran.result).toMatchObject({ subtype: 'success', is_error: false });
});

test('what a server takes to be reached is nowhere in the claude process', async () => {
  await using claude = await startClaude();
  const secret = `s3cret-${process.pid}-of-the-server`;
  await using http = await serveFull('http', { Authorization: `Bearer ${secret}` });
  await using sse = await serveFull('sse', { 'x-key': secret });
  await using stdio = await serveFull('stdio', { KEY: secret });
  const held = claude.model.fault({ kind: 'hold' });

  const running = claude.run({ http: http.server, sse: sse.server, stdio: stdio.server });
  await held.reached;
  const { pid } = claude;
  const files = await Promise.all(['environ', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'latin1')));
  const [withSecret, withTool] = await findInMemory(pid, [secret, 'mcp__stdio__show']);
  held.release();
  const ran = await running;

  expect(ran.statuses).toEqual({ http: 'connected', sse: 'connected', stdio: 'connected' });
  expect(files.join('')).not.toContain(secret);
  expect(withTool).toBe(true);
  expect(withSecret).toBe(false);
});

test('a server that takes its time is waited for', async () => {
  await using claude = await startClaude();
  await using full = await serveFull('stdio');
  const { command, args } = { args: [], ...full.server } as Extract<McpServer, { type: 'stdio' }>;
  // Longer than the SDK's own handshake waits, upon which the CLI makes another.
  const slowly = { command: 'sh', args: ['-c', 'sleep 1; exec "$0" "$@"', command, ...(args ?? [])] };

  const ran = await claude.run({ library: { type: 'stdio', ...slowly } });

  expect(ran.statuses).toEqual({ library: 'connected' });
  expect(claude.model.requests()[0]?.body.tools?.map(({ name }) => name)).toContain('mcp__library__show');
});

test.each(types)('a %s server that cannot be reached has failed, and the others are there', async (type) => {
  await using claude = await startClaude();
  await using full = await serveFull('http');
  const gone: McpServer =
    type === 'stdio' ? { type, command: '/nowhere/no-such-program' } : { type, url: 'http://127.0.0.1:9/mcp' };

  const ran = await claude.run({ gone, library: full.server });

  expect(ran.statuses).toEqual({ gone: 'failed', library: 'connected' });
  expect(claude.model.requests()[0]?.body.tools?.map(({ name }) => name)).toContain('mcp__library__show');
});

test('a server that never answers has failed, and the run goes on', async () => {
  await using claude = await startClaude();
  const silent = createServer(() => undefined);
  const url = `http://127.0.0.1:${await listen(silent)}/mcp`;

  const ran = await claude.run({ silent: { type: 'http', url } }, { connectMs: 1_000 });
  silent.close().closeAllConnections();

  expect(ran.statuses).toEqual({ silent: 'failed' });
  expect(ran.result).toMatchObject({ subtype: 'success', is_error: false });
});

test('a server that dies in a call is an error to the model', async () => {
  await using claude = await startClaude();
  await using full = await serveFull('stdio');
  claude.calls('die', 'show');

  const ran = await claude.run({ library: full.server });

  const results = resultsIn(claude.model.requests()[1]?.body.messages);
  const error = { is_error: true, content: expect.stringContaining('exited with code 3') };
  expect(results).toMatchObject([error, error]);
  expect(ran.result).toMatchObject({ subtype: 'success', is_error: false });
});

type Claude = AsyncDisposable & {
  model: Model;
  pid: number;
  /** The model calls these tools of the server `library` at once, and then answers. */
  calls(...tools: string[]): void;
  run(servers: Record<string, McpServer>, input?: { connectMs: number }): Promise<Ran>;
};

type Ran = { statuses: Record<string, string>; result: SDKMessage | undefined };

async function startClaude(): Promise<Claude> {
  const model = await startModel();
  const dir = temporaryFolder();
  const claude: Claude = {
    model,
    pid: 0,
    calls: (...tools) => {
      const toolCalls = tools.map((tool) => ({
        name: `mcp__library__${tool}`,
        arguments: JSON.stringify({ key: 'a' }),
      }));
      model.mock.on({ userMessage: /go/, hasToolResult: false }, { toolCalls });
    },
    run: async (servers, { connectMs } = { connectMs: 30_000 }) => {
      model.mock.on({ userMessage: /go/ }, { content: 'Done.' });
      const bridges = bridgeMcpServers(servers, {
        connectMs,
        env: { PATH: process.env.PATH ?? '' },
        marks: {},
        cwd: dir,
        tieToParent: false,
        log: pino({ level: 'silent' }),
      });
      const messages: SDKMessage[] = [];
      const running = query({
        prompt: 'go',
        options: {
          cwd: dir,
          env: { ...environment, HOME: dir, ANTHROPIC_BASE_URL: model.url, MCP_TIMEOUT: String(connectMs) },
          mcpServers: Object.fromEntries(Object.entries(bridges).map(([name, { config }]) => [name, config])),
          settingSources: [],
          permissionMode: 'bypassPermissions',
          allowDangerouslySkipPermissions: true,
          spawnClaudeCodeProcess: (options) => {
            const child = spawnClaude(options, []);
            claude.pid = child.pid ?? 0;
            return child;
          },
        },
      });
      for await (const message of running) messages.push(message);
      await Promise.all(Object.values(bridges).map((bridge) => bridge.close()));
      const init = messages.find((message) => message.type === 'system' && message.subtype === 'init');
      const listed = init?.type === 'system' && init.subtype === 'init' ? init.mcp_servers : [];
      return {
        statuses: Object.fromEntries(listed.map(({ name, status }) => [name, status])),
        result: messages.find(({ type }) => type === 'result'),
      };
    },
    [Symbol.asyncDispose]: () => model.stop(),
  };
  return claude;
}

const environment = {
  PATH: process.env.PATH,
  ANTHROPIC_API_KEY: 'sk-ant-test',
  IS_SANDBOX: '1',
  ENABLE_TOOL_SEARCH: 'false',
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
};

function resultsIn(messages: { content: unknown }[] | undefined): { tool_use_id?: string }[] {
  const blocks = (messages ?? []).flatMap(({ content }) => (Array.isArray(content) ? content : []));
  return blocks.filter(({ type }) => type === 'tool_result');
}

/** Whether each of the texts is anywhere in what the process may write to. */
async function findInMemory(pid: number, texts: string[]): Promise<boolean[]> {
  const maps = await readFile(`/proc/${pid}/smaps`, 'latin1');
  const found = texts.map(() => false);
  await using memory = await open(`/proc/${pid}/mem`, 'r');
  const chunk = Buffer.alloc(4 * 1_048_576);
  for (const [, from = '', to = ''] of maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw.*\n(?:\w+:.*\n)*?Rss: +[1-9]/gm)) {
    for (let at = BigInt(`0x${from}`); at < BigInt(`0x${to}`); at += BigInt(chunk.length)) {
      const left = BigInt(`0x${to}`) - at;
      const length = left < chunk.length ? Number(left) : chunk.length;
      const { bytesRead } = await memory.read(chunk, 0, length, at).catch(() => ({ bytesRead: 0 }));
      const read = chunk.subarray(0, bytesRead);
      for (const [index, text] of texts.entries())
        found[index] ||= read.includes(text) || read.includes(text, 0, 'utf16le');
    }
  }
  return found;
}
