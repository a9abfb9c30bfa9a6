/** The server and its warm processes: ready before they are wanted, gone with the server, and never behind the volume. */

import { expect, test } from 'vitest';
import { z } from 'zod';
import { hasSandbox } from '../support/agent-warm.ts';
import { type Model, startModel } from '../support/model.ts';
import { asCommand, lastResult, obey } from '../support/obedient-model.ts';
import { liveProcesses } from '../support/processes.ts';
import { runServer, serverEnv, startServer, type TestServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const health = z.object({
  agent: z.object({
    warm: z.number(),
    sandbox: z.enum(['on', 'off']).nullable(),
    processes: z.object({ idle: z.number(), in_runs: z.number(), memory_bytes: z.number().nullable() }),
  }),
});

test('a spare is started when the server listens, and health tells of it', async () => {
  await using place = await start({});
  await untilAgent(place.server, ({ warm }) => warm === 1);
  const { conversation_id } = await place.server.chat({ message: 'hello' });
  await place.server.chat({ message: 'again', conversation_id });
  await untilAgent(place.server, ({ warm, processes }) => warm === 1 && processes.idle === 1);
  await untilAgent(place.server, ({ processes }) => (processes.memory_bytes ?? 0) > 50_000_000);
});

test('a conversation that is the first request of all costs its own process and the next spare, and no third', async () => {
  await using place = await start({ WARM_CONVERSATIONS: '0', LOG_LEVEL: 'debug' });
  await place.server.chat({ message: 'hello' });
  await untilAgent(place.server, ({ warm, processes }) => warm === 1 && processes.idle === 0);
  // On a machine that is slow enough the first is no spare; a spare that has to make way is never ready.
  const ready = () => place.server.log().filter(({ msg }) => msg === 'a claude process is ready');
  await until('both are in the log', () => ready().length >= 2);
  expect(ready().map(({ spare }) => spare)).toEqual([expect.any(Boolean), true]);
});

test('none is kept where none is wanted', async () => {
  await using place = await start({ WARM_SPARES: '0', WARM_CONVERSATIONS: '0' });
  await place.server.chat({ message: 'hello' });
  await untilAgent(
    place.server,
    ({ warm, processes }) => warm === 0 && processes.idle === 0 && processes.in_runs === 0,
  );
  await until('none is left', () => liveProcesses(place.dir).length === 0);
});

for (const sandbox of ['off', 'auto']) {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`${signal} leaves no process, spare, idle or at work, with what its tools have started, sandbox ${sandbox}`, async () => {
      await using place = await start({ SANDBOX: sandbox, SHUTDOWN_GRACE_MS: '500' });
      await place.server.chat({ message: 'hello' });
      await untilAgent(place.server, ({ warm }) => warm === 1);
      const cut = place.server.chat({ message: asCommand('setsid sleep 4711 & sleep 4712') }).catch(() => undefined);
      await untilAgent(place.server, ({ processes }) => processes.in_runs === 1);
      await until('the command runs', () => liveProcesses(place.dir).length >= 5);

      place.server.kill(signal);
      await place.server.exited;
      await cut;

      await until('none is left', () => liveProcesses(place.dir).length === 0);
    });
  }
}

test('a conversation that another server has gone on with is not gone on with by the process of before', async () => {
  await using place = await start({});
  const { conversation_id } = await place.server.chat({ message: 'one' });
  {
    await using other = await startServer({
      model: place.model,
      dir: place.dir,
      env: { LOCAL_DB_PATH: `${place.dir}/b/m.db` },
    });
    await other.chat({ message: 'said elsewhere', conversation_id });
    // Its own processes may be idle on.
    await place.server.chat({ message: 'back', conversation_id });
    expect(place.model.requests().at(-1)?.raw).toContain('said elsewhere');
    await other.chat({ message: 'and there', conversation_id });
    const told = place.model.requests().at(-1)?.raw ?? '';
    for (const text of ['one', 'said elsewhere', 'back']) expect(told).toContain(text);
  }
});

test('a freeze of the server and all of its processes is survived, between runs and in one', async () => {
  await using place = await start({});
  const { conversation_id } = await place.server.chat({ message: 'one' });
  await untilAgent(place.server, ({ warm }) => warm === 1);
  const stall = place.model.fault({ kind: 'stall', afterDeltas: 0 });
  const running = place.server.chat({ message: 'two', conversation_id });
  await stall.reached;
  const pids = [place.server.pid, ...liveProcesses(place.dir)];
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  stall.release();
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  expect((await running).result).toBe('Yes.');
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  expect((await place.server.chat({ message: 'three', conversation_id })).result).toBe('Yes.');
});

test('the sandbox is said in the log and in health, and the agent works in it', async ({ skip }) => {
  if (!(await hasSandbox())) skip('there is no sandbox on this machine');
  await using place = await start({ SANDBOX: 'on' });
  await place.server.logged(({ sandbox }) => sandbox === 'on');
  await untilAgent(place.server, ({ sandbox }) => sandbox === 'on');
  const { conversation_id } = await place.server.chat({
    message: asCommand('echo kept > note.txt; touch /etc/no 2>&1; ps ax | grep -c node; cat note.txt'),
  });
  const result = lastResult(place.model);
  expect(result).toContain('Read-only file system');
  expect(result).toContain('kept');
  // The folder is the same for the next run, and for the file tools.
  await place.server.chat({ message: asCommand('cat note.txt'), conversation_id });
  expect(lastResult(place.model)).toContain('kept');
});

test('a server that must have a sandbox and finds none does not start, and says what to do', async () => {
  const env = { ...serverEnv(temporaryFolder(), 'http://127.0.0.1:1'), SANDBOX: 'on', PATH: '/nowhere' };
  const { code, stderr } = await runServer(env);
  expect(code).toBe(1);
  const reason = 'bubblewrap (bwrap) is not installed; install it, and let it make namespaces';
  expect(stderr).toContain(`SANDBOX: on\n    there is none: ${reason}; to do without it, set auto or off`);
});

type Place = AsyncDisposable & { model: Model; server: TestServer; dir: string };

async function start(env: Record<string, string>): Promise<Place> {
  const model = await startModel();
  obey(model);
  const dir = temporaryFolder();
  const server = await startServer({ model, dir, env: { WARM_SPARES: '1', ...env } });
  return {
    model,
    server,
    dir,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await model.stop();
    },
  };
}

async function untilAgent(server: TestServer, is: (agent: z.infer<typeof health>['agent']) => boolean): Promise<void> {
  await until('the agent is so', async () => is(health.parse((await server.get('/health')).body).agent));
}
