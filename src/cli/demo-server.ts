/**
 * The server under demonstration: a child process started as a user would start it, and a client of its HTTP API.
 * Every way out stops the child: `stop` is idempotent and waits for its end.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';

export type DemoServer = {
  url: string;
  /** From the start of the process to its first log line that says it listens. */
  startMs: number;
  chat(body: object, on: ChatListener): Promise<z.infer<typeof doneSchema>>;
  /** POST /task/check, as an outside cron would. */
  check(): Promise<z.infer<typeof checkSchema>>;
  /** Resolves with the exit code. */
  stop(): Promise<number>;
};

export type ChatListener = { onText(text: string): void; onTool(tool: string, input: string): void };

const doneSchema = z.looseObject({ conversation_id: z.string(), status: z.string(), error: z.string().optional() });
const checkSchema = z.looseObject({
  checked: z.number(),
  executed: z
    .looseObject({
      status: z.string(),
      result: z.string().nullable(),
      error: z.string().optional(),
      outbound_messages: z.array(z.looseObject({ text: z.string() })),
    })
    .optional(),
  next_due_at: z.string().nullable(),
});
const listeningSchema = z.looseObject({ msg: z.literal('listening'), port: z.number() });

export async function startDemoServer(env: NodeJS.ProcessEnv): Promise<DemoServer> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [process.argv[1] ?? 'src/main.ts', 'serve'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited: Promise<number> = once(child, 'exit').then(([code]) => (typeof code === 'number' ? code : 1));
  const stop = () => {
    if (child.exitCode === null) child.kill('SIGTERM');
    return exited;
  };
  const log: string[] = [];
  const port = await new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.push(line);
      const listening = listeningSchema.safeParse(parseJson(line));
      if (listening.success) resolve(listening.data.port);
    });
    void exited.then((code) => reject(new Error(`the server ended with exit code ${code}:\n${log.join('\n')}`)));
  });
  const url = `http://127.0.0.1:${port}`;
  const startMs = Math.round(performance.now() - startedAt);
  return { url, startMs, chat: (body, on) => chat(url, body, on), check: () => check(url), stop };
}

async function check(url: string): Promise<z.infer<typeof checkSchema>> {
  const response = await fetch(`${url}/task/check`, { method: 'POST' });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return checkSchema.parse(await response.json());
}

async function chat(url: string, body: object, on: ChatListener): Promise<z.infer<typeof doneSchema>> {
  const response = await fetch(`${url}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  const { EventSourceParserStream } = await import('eventsource-parser/stream');
  const frames = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const frame of frames) {
    const { event } = frame;
    const data = parseJson(frame.data);
    if (event === 'chunk') on.onText(z.object({ text: z.string() }).parse(data).text);
    if (event === 'tool_use') {
      const { tool, input } = z.object({ tool: z.string(), input: z.unknown() }).parse(data);
      on.onTool(tool, JSON.stringify(input));
    }
    if (event === 'error') throw new Error(`the server answered: ${JSON.stringify(data)}`);
    if (event === 'done') {
      const done = doneSchema.parse(data);
      if (done.status !== 'success') throw new Error(`the run ended with ${done.status}: ${done.error}`);
      return done;
    }
  }
  throw new Error('the stream ended before the answer was done');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
