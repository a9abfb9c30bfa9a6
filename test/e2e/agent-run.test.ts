/** A run from prompt to answer, with the real claude process. */

import { expect, test } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';

test('an answer streams as text events that add up to it, and no process is left', async () => {
  await using host = await startAgentHost();
  host.model.mock.on(
    { userMessage: /hello/ },
    { content: 'Hello. How can I help you today?', usage: { input_tokens: 100, output_tokens: 20 } },
  );

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({
    outcome: 'success',
    error: null,
    promptTaken: true,
    freshBecause: null,
    numTurns: 1,
  });
  expect(ran.text).toBe('Hello. How can I help you today?');
  expect(ran.events.filter((event) => event.type === 'text').length).toBeGreaterThan(1);
  expect(ran.result.usage).toMatchObject({ inputTokens: 100, outputTokens: 20 });
  expect(ran.result.costUsd).toBeGreaterThan(0);
  expect(ran.result.model).toMatch(/^claude-/);
  expect(await host.processes()).toEqual([]);
});

test('a tool call is told, carried out, and its result goes back to the model', async () => {
  await using host = await startAgentHost();
  const input = { command: 'echo the-output', description: 'Say it' };
  host.model.mock.on(
    { userMessage: /use a tool/, hasToolResult: false },
    { content: 'Let me look. ', toolCalls: [{ name: 'Bash', arguments: JSON.stringify(input) }] },
  );
  host.model.mock.on({ userMessage: /use a tool/, hasToolResult: true }, { content: 'Done.' });

  const ran = await host.run('use a tool');

  expect(ran.result).toMatchObject({ outcome: 'success', numTurns: 2 });
  expect(ran.events).toContainEqual({ type: 'tool_use', tool: 'Bash', input });
  expect(ran.text).toBe('Let me look. Done.');
  expect(host.model.requests()[1]?.raw).toContain('the-output');
});

test('a resumed session is sent only the new prompt and still has the old one', async () => {
  await using host = await startAgentHost();
  host.model.mock.on(
    { userMessage: /first prompt/ },
    { content: 'One.', usage: { input_tokens: 10, output_tokens: 1 } },
  );
  host.model.mock.on(
    { userMessage: /second prompt/ },
    { content: 'Two.', usage: { input_tokens: 30, output_tokens: 2 } },
  );

  const first = await host.run('first prompt');
  const second = await host.run('second prompt', { sessionId: first.sessionId, resume: true });

  expect(second.result).toMatchObject({ outcome: 'success', sessionId: first.sessionId, freshBecause: null });
  const users = host.model.requests()[1]?.body.messages.filter((message) => message.role === 'user');
  expect(JSON.stringify(users)).toMatch(/first prompt.*second prompt/);
  // Of this run alone: the SDK's own totals go on counting over a resume.
  expect(second.result.usage).toMatchObject({ inputTokens: 30, outputTokens: 2 });
  expect(second.result.costUsd).toBeLessThan(2 * 30 * 0.0001);
  expect(await host.agent.heldPrompts(first.sessionId, [first.promptId, second.promptId, 'another'])).toEqual(
    new Set([first.promptId, second.promptId]),
  );
});

test('an abort in mid-stream ends the run as interrupted with its text so far, and the session goes on', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /long story/ }, { content: 'Once upon a time there was a very long story.' });
  host.model.mock.on({ userMessage: /and then/ }, { content: 'The end.' });
  const stall = host.model.fault({ kind: 'stall', afterDeltas: 3 });
  const deadline = new AbortController();

  const ran = await host.run('long story', {
    signal: deadline.signal,
    onEvent: (event) => event.type === 'text' && deadline.abort(),
  });

  expect(ran.result).toMatchObject({ outcome: 'interrupted', error: null, promptTaken: true, numTurns: 1 });
  expect(ran.text).not.toBe('');
  expect('Once upon a time there was a very long story.'.startsWith(ran.text)).toBe(true);
  expect(await host.processes()).toEqual([]);
  stall.release();

  const next = await host.run('and then', { sessionId: ran.sessionId, resume: true });
  expect(next.result).toMatchObject({ outcome: 'success', freshBecause: null });
  expect(next.text).toBe('The end.');
  // The process was asked and not killed, so the model knows what it had said, and that it was cut off.
  expect(host.model.requests().at(-1)?.raw).toContain(`${ran.text}`);
  expect(host.model.requests().at(-1)?.raw).toContain('interrupted by user');
});
