/** MCP servers that are programs: what they are started with, and that nothing of them is left. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { McpChild } from '../../src/agent/mcp-child.ts';
import { canTieToParent } from '../../src/agent/spawn.ts';
import { bridge, connectBridged, initialize, rawClient } from '../support/agent-mcp-client.ts';
import { serveFull } from '../support/agent-mcp-full.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

it('a program has its own environment, the one it is given and the marks, and nothing of ours', async () => {
  process.env.OF_THE_SERVER = 'not for anybody';
  const cwd = temporaryFolder();
  await using full = await serveFull('stdio', { 'x-key': 'k', LANG: 'de', MARK: 'a forged one' });
  await using bridged = await connectBridged(full.server, {
    env: { PATH: process.env.PATH ?? '', LANG: 'en', TZ: 'UTC' },
    marks: { MARK: 'ours' },
    cwd,
  });

  const [text] = Object((await bridged.client.callTool({ name: 'process' })).content);
  const seen = JSON.parse(text.text);

  expect(seen.cwd).toBe(cwd);
  expect(seen.env).toEqual({
    PATH: process.env.PATH,
    LANG: 'de',
    TZ: 'UTC',
    'x-key': 'k',
    MARK: 'ours',
    PICOCLAW_RUN_MARKER: expect.any(String),
  });
});

it('a program that will not leave is killed, with what it has started elsewhere', async () => {
  const mark = `stubborn-${process.pid}`;
  const command = `trap '' TERM HUP INT; setsid sleep 1000 & setsid sleep 1001 < /dev/null > /dev/null 2>&1 & while :; do sleep 0.05; done`;
  await using bridged = await bridge(
    { type: 'stdio', command: 'sh', args: ['-c', command] },
    { marks: { MARK: mark } },
  );
  await until(
    'it has started everything',
    () => marked(mark).filter((line) => line.startsWith('sleep 100')).length === 2,
  );

  await bridged.bridge.close();

  expect(marked(mark)).toEqual([]);
});

it('what a program has started is gone too when the program ends by itself', async () => {
  const mark = `left-${process.pid}`;
  const command = 'setsid sleep 1000 < /dev/null > /dev/null 2>&1 & read line; exit 0';
  await using bridged = await bridge(
    { type: 'stdio', command: 'sh', args: ['-c', command] },
    { marks: { MARK: mark } },
  );
  await until('it has started everything', () => marked(mark).some((line) => line.startsWith('sleep 1000')));
  const client = rawClient(bridged.transport);

  await client.send({ ...initialize, id: 0 });
  expect(await client.answer(0)).toMatchObject({ error: { message: 'the program exited with code 0' } });
  await bridged.bridge.close();

  expect(marked(mark)).toEqual([]);
});

it('a program whose stdout is held open by another has ended all the same', async () => {
  const command = 'sleep 1000 & read line; exit 4';
  await using bridged = await bridge({ type: 'stdio', command: 'sh', args: ['-c', command] });
  const client = rawClient(bridged.transport);

  await client.send({ ...initialize, id: 0 });

  expect(await client.answer(0)).toMatchObject({ error: { message: 'the program exited with code 4' } });
});

it('a message may come in pieces, and several at once', async () => {
  const message = (id: number) => JSON.stringify({ jsonrpc: '2.0', id, result: { text: '\u2028🐾' } });
  const [first, second, third] = [1, 2, 3].map(message);
  const script = `
    const bytes = Buffer.from(${JSON.stringify(`${first}\n${second}\r\n\n${third}\n`)});
    for (const byte of bytes.subarray(0, 90)) await new Promise((done) => process.stdout.write(Buffer.of(byte), done));
    process.stdout.write(bytes.subarray(90));`;
  const child = makeChild(process.execPath, ['--input-type=module', '-e', script]);
  const received: unknown[] = [];
  child.onmessage = (each) => received.push(JSON.stringify(each));
  const ended = new Promise<void>((resolve) => {
    child.onclose = resolve;
  });

  await child.start();
  await ended;

  expect(received).toEqual([first, second, third]);
});

it('a message that is too large ends the program', async () => {
  const child = makeChild('sh', ['-c', 'yes | tr -d "\\n"'], 1_000_000);
  const faults: string[] = [];
  child.onerror = ({ message }) => faults.push(message);
  const ended = new Promise<void>((resolve) => {
    child.onclose = resolve;
  });

  await child.start();
  await ended;

  expect(faults[0]).toContain('too large');
  await expect(child.send({ jsonrpc: '2.0', method: 'ping' })).rejects.toThrow('not running');
});

it('a program ends with the server, when the server is killed', async (context) => {
  if (!(await canTieToParent())) context.skip();
  const mark = `tied-${process.pid}`;
  const url = new URL('../support/agent-mcp-client.ts', import.meta.url).href;
  const server = { type: 'stdio', command: 'sh', args: ['-c', 'while :; do sleep 0.05; done'] };
  const deps = { marks: { MARK: mark }, tieToParent: true };
  const script = `
    const { bridge } = await import(${JSON.stringify(url)});
    await bridge(${JSON.stringify(server)}, ${JSON.stringify(deps)});
    setInterval(() => undefined, 1_000);`;
  const parent: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  await until('the program runs', () => marked(mark).length > 0);

  parent.kill('SIGKILL');
  await once(parent, 'exit');

  await until('the program is gone', () => marked(mark).every((line) => line.startsWith('sleep')));
});

function makeChild(command: string, args: string[], maxMessageBytes = 1_000_000): McpChild {
  return new McpChild({ command, args, env: { PATH: process.env.PATH ?? '' }, cwd: '/', prefix: [], maxMessageBytes });
}

/** The command lines of the processes with this mark. */
function marked(mark: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const isMarked = readFileSync(`/proc/${Number(pid)}/environ`, 'latin1').includes(`MARK=${mark}\0`);
      return isMarked ? [readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')] : [];
    } catch {
      return [];
    }
  });
}
