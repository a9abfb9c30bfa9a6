/** What `npm run build` makes is what runs in production: it starts, serves and ends as the sources do. */

import { chmodSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { installedApp } from '../support/bundle.ts';
import { startModel } from '../support/model.ts';
import { post, runServer, startServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const app = installedApp();
const noModel = { url: 'http://127.0.0.1:1' };

it('the bundle answers, runs tasks, has its skills, and serves its tools', async () => {
  const model = await startModel();
  model.mock.on({}, { content: 'From the bundle.' });
  await using server = await startServer({ model });
  expect(await server.chat({ message: 'hello' })).toMatchObject({ status: 'success', result: 'From the bundle.' });
  const made = await post(`${server.url}/task`, {
    prompt: 'Look around.',
    schedule_type: 'once',
    schedule_value: '2020-01-01T00:00',
  });
  expect(made.status).toBe(201);
  const checked = await post(`${server.url}/task/check`, {});
  expect(await checked.json()).toMatchObject({
    checked: 1,
    executed: { status: 'success', result: 'From the bundle.' },
  });
  expect((await server.get('/admin/skills')).body).toMatchObject({
    skills: { builtIn: ['memory-notes', 'scheduling'], warnings: [] },
  });
  // Its input is closed at once.
  const mcp = await runServer({ PATH: process.env.PATH ?? '', PICOCLAW_URL: server.url }, ['mcp']);
  expect(mcp).toMatchObject({ code: 0, stderr: '' });
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  await model.stop();
});

it('the bundle listens before it has loaded what takes long: fetch, HTTP/2, the agent', async () => {
  const watch = `import { subscribe } from 'node:diagnostics_channel';
    subscribe('tracing:net.server.listen:asyncEnd', () => console.error(JSON.stringify(process.moduleLoadList)));`;
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(watch)}` };
  await using server = await startServer({ model: noModel, env });
  await until('what is loaded is told', () => server.stderr().includes('\n'));
  const loaded = z.array(z.string()).parse(JSON.parse(server.stderr().split('\n')[0] ?? ''));
  expect(loaded).toContain('NativeModule http');
  for (const name of ['internal/deps/undici/undici', 'http2', 'tls', 'internal/crypto/webcrypto'])
    expect(loaded).not.toContain(`NativeModule ${name}`);
});

it('the bundle runs from a folder that it may not write, and with a compile cache', async () => {
  const before = look(app);
  allow(0o555);
  const env = { NODE_COMPILE_CACHE: temporaryFolder(), NODE_DEBUG_NATIVE: 'COMPILE_CACHE' };
  for (const uses of [false, true]) {
    await using server = await startServer({ model: noModel, env });
    expect((await server.get('/health')).body).toMatchObject({ status: 'ok' });
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(/dist\/serve-\w+\.js was accepted/.test(server.stderr())).toBe(uses);
  }
  // Root may write it all the same.
  expect(look(app)).toEqual(before);
  // To be removed with it.
  allow(0o755);
});

function allow(mode: number): void {
  for (const path of globSync('{.,dist,built-in-skills,built-in-skills/**}', { cwd: app }))
    chmodSync(join(app, path), mode);
}

/** What is in the folder and when it was written. */
function look(folder: string): string[] {
  const paths = globSync('{dist,built-in-skills}/**', { cwd: folder }).sort();
  return paths.map((path) => `${path} ${statSync(join(folder, path)).mtimeMs}`);
}
