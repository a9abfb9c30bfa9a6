/**
 * What well-known tools make of docs/api: Redocly's linter has nothing to say, and newman runs the Postman collection against
 * the real server. They are heavy, so they are a package of their own: `npm ci --prefix test/api-tools`, which `make test` does.
 */

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startModel } from '../support/model.ts';
import { startServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const tools = join(root, 'test/api-tools');
const redocly = join(tools, 'node_modules/@redocly/cli/bin/cli.js');
const newman = join(tools, 'node_modules/newman/bin/newman.js');

const report = z.looseObject({
  run: z.looseObject({
    stats: z.looseObject({
      requests: z.object({ total: z.int(), failed: z.int() }).loose(),
      assertions: z.object({ total: z.int(), failed: z.int() }).loose(),
    }),
    failures: z.array(z.looseObject({ error: z.looseObject({ message: z.string() }) })),
  }),
});
const collection = z.looseObject({ item: z.array(z.looseObject({ item: z.array(z.looseObject({})) })) });

describe.skipIf(!existsSync(newman))('docs/api', () => {
  it('has no fault and no warning of the linter', async () => {
    const config = join(tools, 'redocly.yaml');
    expect(await run(redocly, ['lint', '--config', config, 'docs/api/openapi.yaml', 'docs/api/openapi.json'])).toEqual({
      code: 0,
      stdout: '',
      stderr: expect.not.stringMatching(/\bwarning|\berror/i),
    });
  });

  it('has a Postman collection that passes against the server, and stops it at its end', async () => {
    const dir = temporaryFolder();
    const model = await startModel();
    model.mock.on({}, { content: 'I can read, write and remember.' });
    await using server = await startServer({ model, dir, env: { API_TOKEN: 'secret' } });
    const file = join(root, 'docs/api/postman_collection.json');
    const to = join(dir, 'report.json');
    const variables = { base_url: server.url, api_token: 'secret', allow_stop: 'true' };
    const { stdout } = await run(newman, [
      'run',
      file,
      ...Object.entries(variables).flatMap(([name, value]) => ['--env-var', `${name}=${value}`]),
      ...['--reporters', 'cli,json', '--reporter-json-export', to, '--color', 'off'],
    ]);
    const { stats, failures } = report.parse(JSON.parse(readFileSync(to, 'utf8'))).run;
    expect(
      failures.map(({ error }) => error.message),
      stdout,
    ).toEqual([]);
    const folders = collection.parse(JSON.parse(readFileSync(file, 'utf8'))).item;
    const requests = folders.flatMap(({ item }) => item).length;
    expect(stats.requests).toMatchObject({ total: requests, failed: 0 });
    expect(stats.assertions.total).toBeGreaterThan(2 * requests);
    expect(await server.exited).toBe(0);
    await model.stop();
  });
});

function run(script: string, args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { PATH: process.env.PATH ?? '', REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { cwd: root, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}
