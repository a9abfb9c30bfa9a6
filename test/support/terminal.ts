/**
 * What a reader of the documents has before them: a folder that looks like the checkout, a shell that keeps its variables
 * from one block to the next, and a server that is started as the document says.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { root } from './documents.ts';

export type Printed = { stdout: string; stderr: string };

export type Terminal = AsyncDisposable & {
  dir: string;
  save(name: string, text: string): void;
  /** Rejects when a command of it fails. */
  run(commands: string): Promise<Printed>;
  /** Starts it, and resolves when it listens. What is run afterwards finds it where the documents say it is. */
  serve(command: string): Promise<void>;
};

/** Where every document has the server. Here it listens on a port that is free. */
const documented = '127.0.0.1:9000';
const listening = z.looseObject({ msg: z.literal('listening'), port: z.number() });

/** Of the checkout everything but what a server or a reader would write there. */
const notLinked = ['.env', '.git', 'data'];

export function openTerminal(input: { dir: string; env: Record<string, string> }): Terminal {
  const { dir, env } = input;
  for (const name of readdirSync(root)) if (!notLinked.includes(name)) symlinkSync(join(root, name), join(dir, name));
  const shell = spawn('bash', ['--norc', '--noprofile'], { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] });
  const gone = once(shell, 'exit');
  let server: ChildProcess | null = null;
  let address = documented;
  let count = 0;
  let printed: Printed = { stdout: '', stderr: '' };
  let look: () => void = () => undefined;
  for (const stream of ['stdout', 'stderr'] as const)
    shell[stream].setEncoding('utf8').on('data', (text: string) => {
      printed[stream] += text;
      look();
    });
  // A reader copies the id from what the command before has printed.
  let conversation = 'conv-…';
  const filledIn = (text: string) => text.replaceAll(documented, address).replaceAll('conv-…', conversation);

  return {
    dir,
    save(name, text) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), `${filledIn(text)}\n`);
    },
    async run(commands) {
      count += 1;
      const [file, end] = [`.block-${count}.sh`, `--- end of block ${count} ---`];
      writeFileSync(join(dir, file), `${filledIn(commands)}\n`);
      printed = { stdout: '', stderr: '' };
      const ended = new Promise<void>((resolve) => {
        look = () => {
          if (printed.stdout.includes(end) && printed.stderr.includes(end)) resolve();
        };
      });
      // The trap sees commands that fail before the last; `pipefail` those in the middle of a pipe.
      shell.stdin.write(
        `set -o pipefail; trap 'failed=$?' ERR; failed=0; source ./${file} < /dev/null; trap - ERR; ` +
          `echo "${end} $failed"; echo "${end}" >&2\n`,
      );
      await Promise.race([
        ended,
        gone.then(() => Promise.reject(new Error(`the shell has ended:\n${printed.stdout}${printed.stderr}`))),
      ]);
      const [stdout = '', failed] = printed.stdout.split(end);
      const stderr = printed.stderr.split(end)[0] ?? '';
      if (failed?.trim() !== '0') throw new Error(`a command failed (${failed?.trim()}):\n${stdout}${stderr}`);
      conversation = /conv-[0-9a-f-]{36}/.exec(stdout)?.[0] ?? conversation;
      return { stdout, stderr };
    },
    async serve(command) {
      // A group of its own, so that the whole of it can be ended: npm does not pass signals on to what it starts.
      const child = spawn('bash', ['-c', command], {
        cwd: dir,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      server = child;
      const lines: string[] = [];
      child.stderr.setEncoding('utf8').on('data', (text: string) => lines.push(text));
      const port = await new Promise<number>((resolve, reject) => {
        createInterface({ input: child.stdout }).on('line', (line) => {
          lines.push(line);
          const entry = listening.safeParse(parseJson(line));
          if (entry.success) resolve(entry.data.port);
        });
        child.once('exit', (code) => reject(new Error(`the server ended (${code}):\n${lines.join('\n')}`)));
      });
      address = `127.0.0.1:${port}`;
    },
    async [Symbol.asyncDispose]() {
      shell.stdin.end();
      await gone;
      if (server === null || server.exitCode !== null || server.pid === undefined) return;
      // Not only npm: whoever has its output open is the server.
      const ended = once(server, 'close');
      process.kill(-server.pid, 'SIGTERM');
      await ended;
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
