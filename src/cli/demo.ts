/**
 * `demo`: shows in half a minute what the server does, over its HTTP API, with the real agent process.
 *
 * It starts the server as a user would, in a process of its own, on fresh folders under the system's temporary one, and
 * removes them. With ANTHROPIC_API_KEY (or CLAUDE_CODE_OAUTH_TOKEN) set the real model answers; without, an offline
 * stand-in, and it says so. It ends by itself and leaves no process.
 */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DemoServer, startDemoServer } from './demo-server.ts';
import { notesFile, type OfflineModel, startOfflineModel } from './offline-model.ts';

type Say = (text: string) => void;

export async function demo(env: NodeJS.ProcessEnv, write: Say): Promise<number> {
  const hasKey = Boolean(env.ANTHROPIC_API_KEY || env.CLAUDE_CODE_OAUTH_TOKEN);
  const dir = await mkdtemp(join(tmpdir(), 'picoclaw-demo-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(dir, { recursive: true, force: true }));
  const line: Say = (text) => write(`${text}\n`);

  let model: OfflineModel | null = null;
  if (hasKey) {
    line('A key is set: the real model answers.');
  } else {
    model = await startOfflineModel();
    const { stop } = model;
    cleanup.defer(stop);
    line('OFFLINE MODEL: no key is set, so a script on this machine stands in for the model.');
    line('Its replies are written beforehand; the server, the agent process, its tools and its memory are real.');
  }

  const settings = {
    ...env,
    // The agent's shell reads the dotfiles of HOME: those of whoever looks at a demo are none of its business.
    HOME: dir,
    TMPDIR: dir,
    HOST: '127.0.0.1',
    PORT: '0',
    API_TOKEN: '',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'info',
    MEMORY_DIR: join(dir, 'memory'),
    STORE_DIR: join(dir, 'store'),
    LOCAL_DB_PATH: join(dir, 'messages.db'),
    ORG_DIR: '',
    // Loopback is never behind the proxy that this machine may have.
    ...(model
      ? { ANTHROPIC_API_KEY: 'offline', ANTHROPIC_BASE_URL: model.url, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' }
      : {}),
  };

  let server = await startDemoServer(settings);
  cleanup.defer(async () => {
    await server.stop();
  });
  line(`\nThe server is up at ${server.url} (${server.startMs} ms after its process was started).`);

  title('A first answer, streamed word by word');
  const first = await talk(server, { message: 'Hello! My name is Robin and I paint lighthouses.' });
  const conversation_id = first.conversation_id;

  title('A second turn that depends on the first');
  await talk(server, { message: 'What is my name?', conversation_id });

  title('The agent uses a tool to write into its memory');
  await talk(server, {
    message: `What is it that I do? Please write it down in ${notesFile} in your working directory.`,
    conversation_id,
    show_tool_use: true,
  });
  const notes = await readFile(join(dir, 'memory', notesFile), 'utf8').catch(() => null);
  line(notes === null ? `(there is no ${notesFile})` : `  ${notesFile} on the volume says: ${notes.trim()}`);

  title('The server is stopped, and another one is started on the same folders');
  line(`  stopped with exit code ${await server.stop()}; only the volume is kept`);
  await rm(join(dir, 'messages.db'), { force: true });
  server = await startDemoServer(settings);
  line(`  up again at ${server.url}`);

  title('A third turn, which still knows');
  await talk(server, { message: 'What do you know about me?', conversation_id });

  title('The agent sets itself a task, and an outside cron (this demo) has it run when it is due');
  await talk(server, {
    message: 'Please remind me to clean the lamp: schedule it as a one-time task, four seconds from now.',
    conversation_id,
    show_tool_use: true,
  });
  await runWhenDue(server, line);
  const exitCode = await server.stop();

  line(`\nThat was all over HTTP. To try it yourself${hasKey ? '' : ' with a real key'}:`);
  line(`
  ANTHROPIC_API_KEY=sk-ant-... HOST=127.0.0.1 STORE_DIR=./data/store MEMORY_DIR=./data/memory ${startCommand}

  curl -N http://127.0.0.1:9000/chat -H 'content-type: application/json' \\
    -d '{"message": "Hello! What can you do?", "stream": true}'
`);
  return exitCode;

  function title(text: string): void {
    line(`\n── ${text}`);
  }

  async function talk(to: DemoServer, body: { message: string; conversation_id?: string; show_tool_use?: boolean }) {
    line(`  you:   ${body.message}`);
    write('  agent: ');
    let afterTool = false;
    const done = await to.chat(body, {
      onText: (text) => {
        write((afterTool ? `\n${text.trimStart()}` : text).replaceAll('\n', '\n         '));
        afterTool = false;
      },
      onTool: (tool, input) => {
        write(`\n         [${tool}] ${input}`);
        afterTool = true;
      },
    });
    line('');
    return done;
  }
}

/** Of the sources, or of the package. */
const startCommand = import.meta.filename.endsWith('.ts') ? 'npm start' : 'npx picoclaw';

/** A task that is due later than that is not waited for. */
const maxChecks = 30;

/** What a cron does that sleeps until `next_due_at`. */
async function runWhenDue(server: DemoServer, line: Say): Promise<void> {
  for (let checks = 1; checks <= maxChecks; checks++) {
    const { executed, next_due_at: nextDueAt } = await server.check();
    if (executed !== undefined) {
      line(
        `  cron:  the task has run: ${executed.status}${executed.error === undefined ? '' : ` (${executed.error})`}`,
      );
      for (const message of executed.outbound_messages) line(`  agent sent: ${message.text}`);
      line(`  agent: ${executed.result}`);
      return;
    }
    if (nextDueAt === null) break;
    if (checks === 1) line(`  cron:  nothing is due; the next task is, at ${nextDueAt}`);
    await sleep(Math.min(Math.max(Date.parse(nextDueAt) - Date.now(), 50), 2_000));
  }
  line('  cron:  no task has become due; the agent may have set another time');
}
