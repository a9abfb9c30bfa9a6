/** What a caller may choose for one run, as the model API sees it; and what a run counts. */

import { expect, test } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';

const callTool = {
  toolCalls: [{ name: 'Bash', arguments: JSON.stringify({ command: 'true', description: 'Nothing' }) }],
};

test('the model of the request goes before the server’s default', async () => {
  await using host = await startAgentHost({ defaultModel: 'claude-sonnet-5' });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const byDefault = await host.run('hello');
  const chosen = await host.run('hello', { options: { model: 'claude-haiku-4-5' } });

  expect(host.model.requests().map((request) => request.body.model)).toEqual(['claude-sonnet-5', 'claude-haiku-4-5']);
  expect([byDefault.result.model, chosen.result.model]).toEqual(['claude-sonnet-5', 'claude-haiku-4-5']);
});

const thinkingOff = ['claude-haiku-4-5', 'claude-sonnet-4-5', 'claude-opus-4-8', 'claude-sonnet-5'];

for (const model of thinkingOff) {
  test(`without thinking, ${model} is told not to`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

    await host.run('hello', { options: { model, thinking: { type: 'disabled' } } });

    expect(host.model.requests()[0]?.body.thinking).toMatchObject({ type: 'disabled' });
  });
}

test('with thinking, an older model gets the budget that was asked for', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  await host.run('hello', { options: { model: 'claude-haiku-4-5', thinking: { type: 'enabled', maxTokens: 2048 } } });

  expect(host.model.requests()[0]?.body.thinking).toMatchObject({ type: 'enabled', budget_tokens: 2048 });
});

test('with thinking, a newer model thinks as it sees fit, and what it thinks is told but is no text', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.', reasoning: 'They greet me, so I greet them.' });

  const ran = await host.run('hello', {
    options: { model: 'claude-sonnet-5', thinking: { type: 'enabled', maxTokens: 2048 } },
  });

  expect(host.model.requests()[0]?.body.thinking).toEqual({ type: 'adaptive', display: 'summarized' });
  const thoughts = ran.events.flatMap((event) => (event.type === 'thinking' ? [event.text] : []));
  expect(thoughts.join('')).toBe('They greet me, so I greet them.');
  expect(ran.text).toBe('Hi.');
});

test('effort is passed on', async () => {
  await using host = await startAgentHost({ defaultModel: 'claude-sonnet-5' });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  for (const effort of ['low', 'high', 'max'] as const) await host.run('hello', { options: { effort } });

  const sent = host.model.requests().map((request) => request.body.output_config);
  expect(sent).toEqual([{ effort: 'low' }, { effort: 'high' }, { effort: 'max' }]);
});

test('max_turns ends the run with what it has, and the session goes on', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /work/ }, { content: 'Working. ', ...callTool });
  host.model.mock.on({ userMessage: /go on/ }, { content: 'Going on.' });

  const ran = await host.run('work', { options: { maxTurns: 2 } });

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'limit_reached' }, promptTaken: true });
  expect(ran.result.error?.detail).toContain('2 turns');
  expect(ran.text).toBe('Working. Working. ');
  const next = await host.run('go on', { sessionId: ran.sessionId, resume: true, options: { maxTurns: 1 } });
  expect(next.result.outcome).toBe('success');
});

test('max_budget_usd ends the run, and counts that run alone', async () => {
  await using host = await startAgentHost();
  const usage = { input_tokens: 10_000, output_tokens: 1_000 };
  host.model.mock.on({ userMessage: /work/ }, { content: 'Working. ', ...callTool, usage });
  host.model.mock.on({ userMessage: /go on/ }, { content: 'Going on.', usage: { input_tokens: 10, output_tokens: 1 } });

  const ran = await host.run('work', { options: { maxBudgetUsd: 0.01 } });

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'limit_reached' } });
  expect(ran.result.error?.detail).toContain('0.01 USD');
  expect(ran.result.costUsd).toBeGreaterThan(0.01);
  const next = await host.run('go on', { sessionId: ran.sessionId, resume: true, options: { maxBudgetUsd: 0.01 } });
  expect(next.result.outcome).toBe('success');
  expect(next.result.costUsd).toBeLessThan(0.01);
});

test('what a subagent says is not in the text, but what it uses is counted', async () => {
  await using host = await startAgentHost();
  const task = { description: 'Look around', prompt: 'the errand of a subagent', subagent_type: 'general-purpose' };
  const usage = { input_tokens: 1_000, output_tokens: 100 };
  host.model.mock.on({ userMessage: /errand of a subagent/, hasToolResult: false }, { ...callTool, usage });
  host.model.mock.on(
    { userMessage: /errand of a subagent/, hasToolResult: true },
    { content: 'Said by the subagent.', usage },
  );
  host.model.mock.on(
    { userMessage: /delegate/, hasToolResult: false },
    { content: 'I delegate. ', toolCalls: [{ name: 'Agent', arguments: JSON.stringify(task) }], usage },
  );
  host.model.mock.on({ userMessage: /delegate/, hasToolResult: true }, { content: 'It is done.', usage });

  const ran = await host.run('delegate');

  expect(ran.result.outcome).toBe('success');
  expect(ran.text).toBe('I delegate. It is done.');
  expect(host.model.requests().at(-1)?.raw).toContain('Said by the subagent.');
  expect(ran.result.usage).toMatchObject({ inputTokens: 4_000, outputTokens: 400 });
  expect(ran.events.filter((event) => event.type === 'tool_use').map((event) => event.tool)).toEqual(['Agent']);
});

test('what an interrupted run has used is counted as far as it is known', async () => {
  await using host = await startAgentHost();
  const usage = { input_tokens: 500, output_tokens: 50 };
  host.model.mock.on({ userMessage: /work/, hasToolResult: false }, { content: 'Working. ', ...callTool, usage });
  host.model.mock.on({ userMessage: /work/, hasToolResult: true }, { content: 'A long answer.', usage });
  const stall = host.model.fault({
    kind: 'stall',
    afterDeltas: 1,
    when: (request) => request.raw.includes('tool_use_id'),
  });
  const deadline = new AbortController();
  void stall.reached.then(() => deadline.abort());

  const ran = await host.run('work', { signal: deadline.signal });

  expect(ran.result.outcome).toBe('interrupted');
  expect(ran.result.usage.inputTokens).toBeGreaterThanOrEqual(500);
  expect(ran.result.usage.outputTokens).toBeGreaterThanOrEqual(50);
  expect(ran.result.costUsd).toBeGreaterThan(0);
});
