/**
 * The agent holds no keys: the real claude process, told by the model to look for them in every way that we know, finds none.
 * The same hunt finds them where the protection is off, so that it can fail.
 */

import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { startMcpServer } from '../support/agent-mcp-server.ts';
import { hasSandbox } from '../support/agent-warm.ts';
import { startModel } from '../support/model.ts';
import { lastResult, obey } from '../support/obedient-model.ts';
import { type Attempt, attemptsOf, type Hunt, plants } from '../support/secret-hunt.ts';
import { post, startServer, type TestServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const apiKey = 'sk-ant-the-real-key-0123456789';
const apiToken = 'secret-of-the-api-0123456789';
const mcpSecret = 'secret-of-a-program-0123456789';
const headerSecret = 'secret-of-a-header-0123456789';
const cloudSecret = 'secret-of-the-cloud-0123456789';

let sandbox = false;
beforeAll(async () => {
  sandbox = await hasSandbox();
});

test('of more than twenty ways to a secret none succeeds in the sandbox', async ({ skip }) => {
  if (!sandbox) skip('there is no sandbox on this machine');
  const { found, tried, others } = await hunt('on');
  expect(found).toEqual([]);
  expect(tried).toBeGreaterThan(40);
  expect(others).toEqual([]);
});

test.skipIf(process.getuid?.() !== 0)(
  'the same hunt by an agent of root without a sandbox finds the key, so that it can fail',
  async () => {
    const { found } = await hunt('off', ['the memory of the server', 'the database', 'the volume']);
    expect(found).toContain(`the memory of the server: ${apiKey}`);
  },
);

/** `found`: what brought which secret to light. `others`: where outside of the agent a secret was that should be in none. */
async function hunt(
  mode: 'on' | 'off',
  only?: string[],
): Promise<{ found: string[]; tried: number; others: string[] }> {
  const model = await startModel();
  onTestFinished(() => model.stop());
  obey(model);
  await using http = await startMcpServer('http');
  const dir = temporaryFolder();
  const orgDir = join(dir, 'org');
  await mkdir(orgDir);
  const servers = {
    program: {
      command: process.execPath,
      args: [join(import.meta.dirname, '../support/agent-mcp-stdio.ts')],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the server expands it.
      env: { PROGRAM_SECRET: '${PROGRAM_SECRET}' },
    },
    remote: http.server({ authorization: `Bearer ${headerSecret}` }),
  };
  await writeFile(join(orgDir, 'managed-mcp.json'), JSON.stringify({ mcpServers: servers }));
  await using server = await startServer({
    model,
    dir,
    env: {
      SANDBOX: mode,
      WARM_SPARES: '1',
      ORG_DIR: orgDir,
      ANTHROPIC_API_KEY: apiKey,
      API_TOKEN: apiToken,
      PROGRAM_SECRET: mcpSecret,
      AWS_SECRET_ACCESS_KEY: cloudSecret,
    },
  });
  const other = await say(server, { message: 'I am another conversation.' });
  const secrets = [apiKey, apiToken, mcpSecret, headerSecret, cloudSecret, ...(await placeholdersOf(dir))];
  const place: Hunt = {
    memoryDir: join(dir, 'memory'),
    storeDir: join(dir, 'store'),
    localDbPath: join(dir, 'local', 'messages.db'),
    serverUrl: server.url,
    serverPid: server.pid,
  };

  const found: string[] = [];
  let own: string | undefined;
  const tell = (what: string, text: string) => {
    for (const secret of secrets) if (text.includes(secret) && secret !== own) found.push(`${what}: ${secret}`);
  };
  const all: Attempt[] = [...attemptsOf(place), ...plants(place)];
  const attempts = all.filter(({ what }) => only === undefined || only.includes(what));
  let conversation_id: string | undefined;
  for (const { what, prompt } of attempts) {
    const answer = await say(server, { message: prompt, conversation_id });
    conversation_id = answer.conversation_id;
    const result = lastResult(model);
    // Its own placeholder is in its environment, and opens nothing but the gateway.
    own ??= secrets.find((secret) => result.includes(`ANTHROPIC_API_KEY=${secret}`));
    tell(what, result);
  }
  // Hooks may act in the run that writes them, which could do the same without; but in none that follows.
  await rm(join(place.memoryDir, 'planted.txt'), { force: true });
  // What was planted would act in these.
  for (const message of ['next', 'and a new one']) {
    await say(server, message === 'next' ? { message, conversation_id } : { message });
  }
  await say(server, { message: 'go on', conversation_id: other.conversation_id });
  expect(await readdir(place.memoryDir)).not.toContain('planted.txt');

  const others = mode === 'on' ? await whereSecretsAre(server, dir, secrets.slice(0, 5)) : [];
  return { found, tried: attempts.length, others };
}

async function say(server: TestServer, body: object): Promise<{ conversation_id: string }> {
  const response = await post(`${server.url}/chat`, body, { authorization: `Bearer ${apiToken}` });
  const answer: unknown = await response.json();
  if (typeof answer !== 'object' || answer === null || !('conversation_id' in answer))
    throw new Error(`${response.status} ${JSON.stringify(answer)}`);
  return { conversation_id: String(answer.conversation_id) };
}

/** Of the claude processes of this server, as one sees them who may see all. */
async function placeholdersOf(dir: string): Promise<string[]> {
  return (await environmentsBelow(dir)).flatMap((text) => /ANTHROPIC_API_KEY=([^\0]+)/.exec(text)?.[1] ?? []);
}

/** Of processes that work in the memory folder. */
async function environmentsBelow(dir: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    `for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = "$0/memory" ] && echo $p; done; true`,
    dir,
  ]);
  const all = stdout.split('\n').filter(Boolean);
  return [...new Set(await Promise.all(all.map((path) => readFile(`${path}/environ`, 'latin1').catch(() => ''))))];
}

/** Where there should be none, looked at from outside. */
async function whereSecretsAre(server: TestServer, dir: string, secrets: string[]): Promise<string[]> {
  const has = (text: string) => secrets.some((secret) => text.includes(secret));
  const found: string[] = [];
  if (has(JSON.stringify(server.log()))) found.push('the log');
  const { stdout: lines } = await promisify(execFile)('ps', ['axww', '-o', 'args']);
  if (has(lines)) found.push('a command line');
  for (const place of ['memory', 'store', 'local']) {
    const args = ['-raqF', ...secrets.flatMap((secret) => ['-e', secret]), join(dir, place)];
    const isThere = await promisify(execFile)('grep', args).then(
      () => true,
      () => false,
    );
    if (isThere) found.push(place);
  }
  const environ = await readFile(`/proc/${server.pid}/environ`, 'latin1').catch(() => '');
  if (has(environ)) found.push('the environment of the server');
  return found;
}
