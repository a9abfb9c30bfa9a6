/** The server of our own tools: in this process, one for each claude process. */

import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { ToolContext } from '../../src/agent/agent.ts';
import { type AgentHost, startAgentHost } from '../support/agent-host.ts';
import { signalClaude } from '../support/agent-processes.ts';

const unhandled: unknown[] = [];
const keep = (reason: unknown) => void unhandled.push(reason);
beforeAll(() => void process.on('unhandledRejection', keep));
afterAll(() => {
  process.off('unhandledRejection', keep);
  expect(unhandled).toEqual([]);
});

test('its tools are offered whole from the first call of the model on', async () => {
  await using host = await startAgentHost({ toolServer: withTool(async () => 'told') });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'success', warnings: [] });
  expect(host.model.requests()[0]?.body.tools).toContainEqual({
    name: 'mcp__picoclaw__tell',
    description: 'Tells a word',
    input_schema: expect.objectContaining({ properties: { word: { type: 'string' } }, required: ['word'] }),
  });
});

test('of eight runs at once in as many conversations each has its own context', async () => {
  const all = Promise.withResolvers<void>();
  const contexts: ToolContext[] = [];
  const toolServer = withTool(async (context, word) => {
    contexts.push(context);
    // Until all are called: no process has gone before the last has come.
    if (contexts.length === 8) all.resolve();
    await all.promise;
    return `${word} for ${context.conversationId} by ${context.runId}`;
  });
  await using host = await startAgentHost({ toolServer });
  callsTell(host);

  const asked = Array.from({ length: 8 }, (_, at) => ({
    runId: `run-${at}`,
    conversationId: at === 0 ? null : `conv-${at}`,
    prompt: { id: randomUUID(), text: `tell, number ${at}` },
  }));
  const ran = await Promise.all(asked.map((each) => host.run('', each)));

  expect(ran.map(({ result }) => result.outcome)).toEqual(Array(8).fill('success'));
  expect(contexts).toHaveLength(8);
  for (const { runId, conversationId, prompt } of asked) {
    expect(contexts).toContainEqual({ runId, conversationId });
    expect(toolResultOf(host, prompt.text)).toMatchObject({
      content: [{ type: 'text', text: `hello for ${conversationId} by ${runId}` }],
    });
  }
});

const failures = {
  fails: async () => {
    throw new Error('there is no such task');
  },
  'says that it failed': async () => ({
    isError: true,
    content: [{ type: 'text' as const, text: 'there is no such task' }],
  }),
};

for (const [how, act] of Object.entries(failures)) {
  test(`a tool that ${how} is an error to the model, with its words, and the run goes on`, async () => {
    await using host = await startAgentHost({
      toolServer: async () => {
        const server = new McpServer({ name: 'tools', version: '1.0.0' });
        server.registerTool('tell', { inputSchema: { word: z.string() } }, act);
        return server;
      },
    });
    callsTell(host);

    const ran = await host.run('tell');

    expect(ran.result.outcome).toBe('success');
    expect(ran.text).toBe('Told.');
    expect(toolResultOf(host, 'tell')).toMatchObject({ is_error: true, content: 'there is no such task' });
  });
}

test('a tool that takes too long is told to stop, and is an error to the model', async () => {
  const stopped = Promise.withResolvers<void>();
  const toolServer = withTool(async (_, __, signal) => {
    await aborted(signal);
    stopped.resolve();
    return 'too late';
  });
  await using host = await startAgentHost({ toolServer, limits: { toolMs: 1_000 } });
  callsTell(host);

  const ran = await host.run('tell');
  await stopped.promise;

  expect(ran.result.outcome).toBe('success');
  expect(toolResultOf(host, 'tell')).toMatchObject({
    is_error: true,
    content: expect.stringContaining('timed out after 1s'),
  });
});

const ends = {
  'is aborted': async (_: AgentHost, deadline: AbortController) => deadline.abort(),
  'has its process killed': async (host: AgentHost) => void (await signalClaude(host, 'SIGKILL')),
};

for (const [how, end] of Object.entries(ends)) {
  test(`a tool under way when its run ${how} is told to stop, and what it does then concerns nobody`, async () => {
    const called = Promise.withResolvers<void>();
    const told = Promise.withResolvers<void>();
    const rejected = Promise.withResolvers<void>();
    const toolServer = withTool(async (_, __, signal) => {
      called.resolve();
      await aborted(signal);
      told.resolve();
      await rejected.promise;
      throw new Error('too late');
    });
    await using host = await startAgentHost({ toolServer });
    callsTell(host);
    const deadline = new AbortController();
    void called.promise.then(() => end(host, deadline));

    const ran = await host.run('tell', { signal: deadline.signal });
    await told.promise;
    rejected.resolve();
    // Node tells of a rejection that nobody handles before the next timers.
    await new Promise((resolve) => setTimeout(resolve));

    expect(ran.result.outcome).toBe(how === 'is aborted' ? 'interrupted' : 'error');
    expect(unhandled).toEqual([]);
    expect(await host.processes()).toEqual([]);
  });
}

test('a subagent has them too, in the name of the same run', async () => {
  const contexts: ToolContext[] = [];
  const toolServer = withTool(async (context) => {
    contexts.push(context);
    return 'told';
  });
  await using host = await startAgentHost({ toolServer });
  const work = { description: 'Work', prompt: 'tell it for me', subagent_type: 'general-purpose' };
  host.model.mock.on(
    { userMessage: /delegate/, hasToolResult: false },
    { toolCalls: [{ name: 'Agent', arguments: JSON.stringify(work) }] },
  );
  host.model.mock.on({ userMessage: /delegate/, hasToolResult: true }, { content: 'Done.' });
  callsTell(host);

  const ran = await host.run('delegate', { runId: 'run-1', conversationId: 'conv-1' });

  expect(ran.text).toBe('Done.');
  expect(contexts).toEqual([{ runId: 'run-1', conversationId: 'conv-1' }]);
});

test('a run whose tool server cannot be made ends with an error, and the log says why', async () => {
  await using host = await startAgentHost({ toolServer: () => Promise.reject(new Error('no tools today')) });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, promptTaken: false });
  expect(host.log.join('')).toContain('no tools today');
  expect(host.model.requests()).toEqual([]);
});

type Tell = (context: ToolContext, word: string, signal: AbortSignal) => Promise<string>;

/** A server with one tool, `tell`. */
function withTool(tell: Tell): (current: () => ToolContext | null) => Promise<McpServer> {
  return async (current) => {
    const server = new McpServer({ name: 'tools', version: '1.0.0' });
    const config = { description: 'Tells a word', inputSchema: { word: z.string() } };
    server.registerTool('tell', config, async ({ word }, { signal }) => {
      const context = current();
      if (context === null) throw new Error('called outside of a run');
      return { content: [{ type: 'text', text: await tell(context, word, signal) }] };
    });
    return server;
  };
}

/** The model answers a prompt of "tell…" with a call of it. */
function callsTell(host: AgentHost): void {
  const call = { name: 'mcp__picoclaw__tell', arguments: JSON.stringify({ word: 'hello' }) };
  host.model.mock.on({ userMessage: /^tell/m, hasToolResult: false }, { toolCalls: [call] });
  host.model.mock.on({ userMessage: /^tell/m, hasToolResult: true }, { content: 'Told.' });
}

/** Of the conversation that has this prompt. */
function toolResultOf(host: AgentHost, prompt: string): unknown {
  const requests = host.model.requests().filter(({ raw }) => raw.includes(JSON.stringify(prompt)));
  const blocks = requests.flatMap(({ body }) => body.messages.flatMap(({ content }) => content));
  return blocks.find((block) => z.looseObject({ type: z.literal('tool_result') }).safeParse(block).success);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
