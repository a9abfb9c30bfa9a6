/** The composition root: every setting reaches the part that it is for. Two servers, each with half of the settings. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { type Model, type ModelRequest, startModel } from '../support/model.ts';
import { post, startServer, type TestServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

const stdioServer = join(import.meta.dirname, '../support/agent-mcp-stdio.ts');
const answerOf = z.record(z.string(), z.unknown());
const listOf = z.looseObject({ messages: z.array(z.looseObject({ sender_name: z.string() })) });

let model: Model;

beforeAll(async () => {
  model = await startModel();
  const call = { name: 'mcp__library__lookup', arguments: JSON.stringify({ key: 'the-key' }) };
  model.mock.on({ userMessage: /look it up/, hasToolResult: false }, { toolCalls: [call] });
  model.mock.on({ userMessage: /look it up/, hasToolResult: true }, { content: 'Here it is.' });
  model.mock.on({ userMessage: /goodbye/ }, { content: 'Farewell. <<over>>' });
  model.mock.on({}, { content: 'Hello.' });
});
afterAll(() => model.stop());

/** The requests to the model that `work` made. */
async function requestsOf(work: () => Promise<unknown>): Promise<ModelRequest[]> {
  const before = model.requests().length;
  await work();
  return model.requests().slice(before);
}

describe('a server with tokens, an organisation, a model and a zone', () => {
  const dir = sharedFolder();
  const token = { authorization: 'Bearer the-second-token-0123456789' };
  let server: TestServer;

  const chat = async (body: object) => {
    const response = await post(`${server.url}/chat`, body, token);
    expect(response.status).toBe(200);
    return answerOf.parse(await response.json());
  };

  beforeAll(async () => {
    const orgDir = join(dir, 'org');
    mkdirSync(orgDir);
    writeFileSync(join(orgDir, 'CLAUDE.md'), 'The organisation paints lighthouses.');
    server = await startServer({
      model,
      dir,
      env: {
        API_TOKEN: 'the-first-token-0123456789,the-second-token-0123456789',
        CLAUDE_MODEL: 'claude-sonnet-5',
        ORG_DIR: orgDir,
        TZ: 'Asia/Tokyo',
        SESSION_END_MARKER: '<<over>>',
        MAX_EXECUTION_MS: '59000',
        APP_VERSION: '2.0.0-settings',
        BUILD_COMMIT: 'c0ffee1',
        BUILD_TIME: '2026-01-31T09:30:00Z',
      },
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('asks for a token, and takes any of those in API_TOKEN', async () => {
    const refused = await fetch(`${server.url}/chat`);
    expect(refused.status).toBe(401);
    expect(answerOf.parse(await refused.json())).toMatchObject({ code: 'unauthorized' });
    for (const which of ['first', 'second']) {
      const headers = { authorization: `Bearer the-${which}-token-0123456789` };
      expect((await fetch(`${server.url}/chat`, { headers })).status).toBe(200);
    }
  });

  it('names its build in the headers of every response', async () => {
    for (const path of ['/health', '/chat', '/no-such-path']) {
      const { headers } = await fetch(`${server.url}${path}`);
      expect(headers.get('x-build-version')).toBe('2.0.0-settings');
      expect(headers.get('x-build-commit')).toBe('c0ffee1');
      expect(headers.get('x-request-id')).toMatch(/^req-/);
    }
  });

  it('tells in /health its build, its limit, its folders, its agent and its store', async () => {
    await chat({ message: 'hello' });
    // The agent is loaded a moment after the server listens.
    await until('the agent has a version', async () =>
      JSON.stringify((await server.get('/health')).body.agent).includes('"version":"2'),
    );
    expect(await server.get('/health')).toEqual({
      status: 200,
      body: {
        status: 'ok',
        version: '2.0.0-settings',
        commit: 'c0ffee1',
        build_time: '2026-01-31T09:30:00Z',
        max_execution_ms: 59_000,
        database: { ok: true, conversations: expect.any(Number), tasks: 0 },
        volumes: { memory: true, skills: false, sessions: true, store: true },
        agent: {
          ok: true,
          version: expect.stringMatching(/^\d+\.\d+\.\d+/),
          warm: expect.any(Number),
          sandbox: expect.stringMatching(/^(on|off)$/),
          processes: expect.objectContaining({ in_runs: 0, waiting: 0 }),
        },
        store: {
          durable: true,
          epoch: expect.any(Number),
          last_sync_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
          fault: null,
          owner: null,
          sync_ms: expect.any(Number),
          hydrate_ms: expect.any(Number),
          database_bytes: expect.any(Number),
          wal_bytes: expect.any(Number),
          last_snapshot_at: null,
          last_snapshot_ms: null,
        },
        next_due_at: null,
      },
    });
  });

  it('asks CLAUDE_MODEL, and another model only in the request that names it', async () => {
    const asked = await requestsOf(async () => {
      await chat({ message: 'hello' });
      await chat({ message: 'hello', model: 'claude-haiku-4-5' });
    });
    expect(asked.map(({ body }) => body.model)).toEqual(['claude-sonnet-5', 'claude-haiku-4-5']);
  });

  it('gives the model the text of the organisation after the preset, and the times of its zone', async () => {
    const [request] = await requestsOf(() => chat({ message: 'hello' }));
    const system = JSON.stringify(request?.body.system);
    expect(system).toContain('Claude Code');
    expect(system).toContain('The organisation paints lighthouses.');
    expect(JSON.stringify(request?.body.messages)).toContain('<context timezone=\\"Asia/Tokyo\\" />');
  });

  it('detects SESSION_END_MARKER where it is said, and nowhere else', async () => {
    expect(await chat({ message: 'goodbye' })).toMatchObject({
      result: 'Farewell. <<over>>',
      session_end_marker: '<<over>>',
      session_end_marker_detected: true,
    });
    expect(await chat({ message: 'hello' })).toMatchObject({ session_end_marker_detected: false });
  });

  it('sends the API key, and calls its assistant Pico', async () => {
    const [request] = await requestsOf(async () => {
      const { conversation_id } = await chat({ message: 'hello' });
      const response = await fetch(`${server.url}/chat/${String(conversation_id)}/messages`, { headers: token });
      expect(listOf.parse(await response.json()).messages[1]?.sender_name).toBe('Pico');
    });
    expect(request?.headers['x-api-key']).toBe('sk-ant-test-0123456789');
    expect(request?.headers.authorization).toBeUndefined();
  });

  it('refuses a stdio MCP server, which would run a command', async () => {
    const response = await post(
      `${server.url}/chat`,
      { message: 'hello', mcp_servers: { library: { command: process.execPath, args: [stdioServer] } } },
      token,
    );
    expect(response.status).toBe(403);
    expect(answerOf.parse(await response.json())).toMatchObject({ code: 'forbidden' });
  });
});

describe('a server with a prompt, a name, a subscription, a second model and stdio MCP servers of its own', () => {
  const dir = sharedFolder();
  let server: TestServer;

  beforeAll(async () => {
    const orgDir = join(dir, 'org');
    mkdirSync(orgDir);
    writeFileSync(join(orgDir, 'CLAUDE.md'), 'The organisation paints lighthouses.');
    server = await startServer({
      model,
      dir,
      env: {
        ANTHROPIC_API_KEY: '',
        CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-subscription-0123456789',
        SYSTEM_PROMPT_OVERRIDE: 'You are the keeper of a lighthouse.',
        ORG_DIR: orgDir,
        ASSISTANT_NAME: 'Keeper',
        CLAUDE_MODEL: 'claude-opus-4-8',
        CLAUDE_FALLBACK_MODEL: 'claude-sonnet-5',
        ALLOW_STDIO_MCP: 'true',
      },
    });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it('tells the version of the package where no other is set', async () => {
    expect((await server.get('/health')).body).toMatchObject({
      version: manifest.version,
      commit: 'unknown',
      build_time: 'unknown',
      max_execution_ms: 300_000,
    });
  });

  it('sends the token of the subscription, and no key', async () => {
    const [request] = await requestsOf(() => server.chat({ message: 'hello' }));
    expect(request?.headers.authorization).toBe('Bearer sk-ant-oat01-subscription-0123456789');
    expect(request?.headers['x-api-key']).toBeUndefined();
  });

  it('replaces the preset and the text of the organisation by SYSTEM_PROMPT_OVERRIDE', async () => {
    const [request] = await requestsOf(() => server.chat({ message: 'hello' }));
    expect(JSON.stringify(request?.body.system)).toContain('You are the keeper of a lighthouse.');
    expect(request?.raw).not.toContain('The organisation paints lighthouses.');
  });

  it('calls its assistant by ASSISTANT_NAME', async () => {
    const { conversation_id } = await server.chat({ message: 'hello' });
    const { body } = await server.get(`/chat/${conversation_id}/messages`);
    expect(body.messages).toMatchObject([{ role: 'user' }, { role: 'assistant', sender_name: 'Keeper' }]);
  });

  it('asks CLAUDE_FALLBACK_MODEL while the other is overloaded', async () => {
    const isMain = ({ body }: ModelRequest) => body.model === 'claude-opus-4-8';
    model.fault({ kind: 'status', status: 529, error: 'overloaded_error', times: 1000, when: isMain });
    const asked = await requestsOf(async () => {
      expect(await server.chat({ message: 'hello' })).toMatchObject({ status: 'success', result: 'Hello.' });
    });
    expect(asked[0]?.body.model).toBe('claude-opus-4-8');
    expect(asked.at(-1)?.body.model).toBe('claude-sonnet-5');
  });

  it('lets the agent use a stdio MCP server of the caller', async () => {
    const [, second] = await requestsOf(async () => {
      const answer = await server.chat({
        message: 'look it up',
        model: 'claude-sonnet-5',
        mcp_servers: {
          library: { command: process.execPath, args: [stdioServer] },
        },
      });
      expect(answer).toMatchObject({ status: 'success', result: 'Here it is.' });
      expect(answer.warnings).toBeUndefined();
    });
    expect(second?.raw).toContain('found the-key');
  });
});
