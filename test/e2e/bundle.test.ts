/** What `npm run build` makes is what runs in production: it starts, serves and ends as the sources do. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startModel } from '../support/model.ts';
import { post, runServer, startServer } from '../support/server.ts';

const root = join(import.meta.dirname, '../..');

async function build(): Promise<unknown> {
  const [code] = await once(spawn(process.execPath, ['scripts/build.ts'], { cwd: root, stdio: 'inherit' }), 'exit');
  return code;
}

it('the bundle answers, runs tasks, has its skills, and serves its tools', { timeout: 120_000 }, async () => {
  expect(await build()).toBe(0);
  const model = await startModel();
  model.mock.on({}, { content: 'From the bundle.' });
  const entry = 'dist/main.js';
  await using server = await startServer({ model, entry });
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
  const mcp = await runServer({ PATH: process.env.PATH ?? '', PICOCLAW_URL: server.url }, ['mcp'], entry);
  expect(mcp).toMatchObject({ code: 0, stderr: '' });
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  await model.stop();
});
