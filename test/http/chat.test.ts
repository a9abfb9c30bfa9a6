import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { expectProblem, startApp } from '../support/http-app.ts';
import { parseObject } from '../support/http-instance.ts';

const uuid = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

describe('POST /chat', () => {
  it('begins a conversation and answers with every member of the contract, status and conversation_id first', async () => {
    await using app = await startApp();
    app.agent.next({ events: [{ type: 'message' }, { type: 'text', text: 'Good morning.' }] });
    const { status, body } = await app.post('/chat', { message: 'hello' });
    expect(status).toBe(200);
    expect(Object.keys(body).slice(0, 2)).toEqual(['status', 'conversation_id']);
    expect(body).toEqual({
      status: 'success',
      conversation_id: expect.stringMatching(new RegExp(`^conv-${uuid}$`)),
      message_id: expect.stringMatching(new RegExp(`^msg-${uuid}$`)),
      result: 'Good morning.',
      model: 'scripted-model',
      session_id: expect.stringMatching(new RegExp(`^${uuid}$`)),
      duration_ms: expect.any(Number),
      outbound_messages: [],
      session_end_marker: '[[END]]',
      session_end_marker_detected: false,
      run_id: expect.stringMatching(new RegExp(`^run-${uuid}$`)),
      usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 },
      cost_usd: 0.0125,
      num_turns: 1,
    });
  });

  it('goes on with a conversation in the same session, and the reply is its message', async () => {
    await using app = await startApp();
    const first = await app.post('/chat', { message: 'one' });
    const conversation_id = String(first.body.conversation_id);
    const second = await app.post('/chat', { message: 'two', conversation_id });
    expect(second.body).toMatchObject({ conversation_id, session_id: first.body.session_id });
    const { body } = await app.send(`/chat/${conversation_id}/messages`);
    expect(body.messages).toMatchObject([
      { role: 'user', content: 'one', sender: 'user', sender_name: 'user' },
      { id: first.body.message_id, role: 'assistant', content: 'Hello.', sender: 'assistant', sender_name: 'Pico' },
      { role: 'user', content: 'two' },
      { id: second.body.message_id, role: 'assistant', content: 'Hello.' },
    ]);
  });

  it('stores a message as it came, white space and all', async () => {
    await using app = await startApp();
    const message = '  \n  two spaces, a tab\t, 中文, 👩‍👩‍👧, "quotes" & <tags>  \r\n';
    const { body } = await app.post('/chat', { message });
    const messages = await app.send(`/chat/${String(body.conversation_id)}/messages`);
    expect(messages.body.messages).toMatchObject([{ content: message }, {}]);
  });

  it('gives the agent the defaults of the contract where nothing is asked for', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'hello' });
    expect(app.agent.requests[0]?.options).toEqual({
      model: null,
      maxExecutionMs: 60_000,
      thinking: { type: 'disabled' },
      effort: null,
      maxTurns: null,
      maxBudgetUsd: null,
      mcpServers: {},
    });
  });

  it('gives the agent all that is asked for', async () => {
    await using app = await startApp({ settings: { allowStdioMcp: true } });
    await app.post('/chat', {
      message: 'hello',
      model: 'claude-other',
      max_execution_ms: 1234,
      thinking: true,
      max_thinking_tokens: 2048,
      effort: 'xhigh',
      max_turns: 3,
      max_budget_usd: 0.5,
      mcp_servers: {
        web: { url: 'https://example.com/mcp' },
        events: { type: 'sse', url: 'http://127.0.0.1:1/sse', headers: { 'X-Key': 'k' } },
        local: { command: 'server', args: ['-v'], env: { A: 'b' } },
      },
    });
    expect(app.agent.requests[0]?.options).toEqual({
      model: 'claude-other',
      maxExecutionMs: 1234,
      thinking: { type: 'enabled', maxTokens: 2048 },
      effort: 'xhigh',
      maxTurns: 3,
      maxBudgetUsd: 0.5,
      mcpServers: {
        web: { type: 'http', url: 'https://example.com/mcp' },
        events: { type: 'sse', url: 'http://127.0.0.1:1/sse', headers: { 'X-Key': 'k' } },
        local: { type: 'stdio', command: 'server', args: ['-v'], env: { A: 'b' } },
      },
    });
  });

  it('lowers a max_execution_ms above the maximum of the server to it', async () => {
    await using app = await startApp({ settings: { maxExecutionMs: 5_000 } });
    await app.post('/chat', { message: 'hello', max_execution_ms: 2 ** 31 + 1 });
    expect(app.agent.requests[0]?.options.maxExecutionMs).toBe(5_000);
  });

  it('takes 10000 thinking tokens where thinking is asked for without a number', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'hello', thinking: true });
    await app.post('/chat', { message: 'hello', thinking: false });
    expect(app.agent.requests.map(({ options }) => options.thinking)).toEqual([
      { type: 'enabled', maxTokens: 10_000 },
      { type: 'disabled' },
    ]);
  });

  it('keeps who speaks, and names a sender without a name by itself', async () => {
    await using app = await startApp();
    const named = await app.post('/chat', { message: 'a', sender: 'u-1', sender_name: 'Robin' });
    const unnamed = await app.post('/chat', { message: 'b', sender: 'u-2' });
    const messagesOf = async (body: typeof named.body) =>
      (await app.send(`/chat/${String(body.conversation_id)}/messages`)).body.messages;
    expect(await messagesOf(named.body)).toMatchObject([{ sender: 'u-1', sender_name: 'Robin' }, {}]);
    expect(await messagesOf(unnamed.body)).toMatchObject([{ sender: 'u-2', sender_name: 'u-2' }, {}]);
  });

  it('tells thinking and tool uses only to who asked', async () => {
    await using app = await startApp();
    const events = [
      { type: 'thinking', text: 'Hm' },
      { type: 'thinking', text: '…' },
      { type: 'tool_use', tool: 'Bash', input: { command: 'ls' } },
      { type: 'message' },
      { type: 'text', text: 'Done.' },
    ] as const;
    app.agent.next({ events: [...events] });
    app.agent.next({ events: [...events] });
    const asked = await app.post('/chat', { message: 'x', thinking: true, show_tool_use: true });
    expect(asked.body).toMatchObject({ thinking: 'Hm…', tool_uses: [{ tool: 'Bash', input: { command: 'ls' } }] });
    const silent = await app.post('/chat', { message: 'x' });
    expect(silent.body).not.toHaveProperty('thinking');
    expect(silent.body).not.toHaveProperty('tool_uses');
  });

  it('removes internal blocks from the result and the stored reply, and sees a marker in them', async () => {
    await using app = await startApp();
    app.agent.next({ events: [{ type: 'message' }, { type: 'text', text: 'A<internal>secret [[END]]</internal> B' }] });
    const { body } = await app.post('/chat', { message: 'x' });
    expect(body).toMatchObject({ result: 'A B', session_end_marker_detected: true });
    const messages = await app.send(`/chat/${String(body.conversation_id)}/messages`);
    expect(messages.body.messages).toMatchObject([{}, { content: 'A B' }]);
  });

  it('sees no marker when it is turned off', async () => {
    await using app = await startApp({ settings: { sessionEndMarker: '' } });
    const { body } = await app.post('/chat', { message: 'x' });
    expect(body).toMatchObject({ session_end_marker: '', session_end_marker_detected: false });
  });

  it('tells warnings of the run, and leaves the member out when there are none', async () => {
    await using app = await startApp();
    app.agent.next({ result: { warnings: ['the MCP server "web" did not connect'] } });
    const { body } = await app.post('/chat', { message: 'x' });
    expect(body).toMatchObject({ status: 'success', result: null, warnings: ['the MCP server "web" did not connect'] });
    expect((await app.post('/chat', { message: 'x' })).body).not.toHaveProperty('warnings');
  });

  it('delivers outbound messages once, with the next answer of their conversation', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    const conversation_id = String(body.conversation_id);
    const created_at = '2026-01-31T09:30:00.000Z';
    app.sql(
      'INSERT INTO outbound_messages (id, conversation_id, text, sender, created_at) VALUES (?, ?, ?, ?, ?)',
      'out-1',
      conversation_id,
      'Your tea is ready [[END]]',
      null,
      created_at,
    );
    const second = await app.post('/chat', { message: 'y', conversation_id });
    expect(second.body).toMatchObject({
      outbound_messages: [
        { id: 'out-1', conversation_id, text: 'Your tea is ready [[END]]', sender: null, created_at },
      ],
      session_end_marker_detected: true,
    });
    const third = await app.post('/chat', { message: 'z', conversation_id });
    expect(third.body).toMatchObject({ outbound_messages: [], session_end_marker_detected: false });
  });

  it('answers a failure of the model with 200, in words and as a code, and stores no reply', async () => {
    await using app = await startApp();
    const error = new Problem('model_auth', 'the model API refused the credential: invalid x-api-key').toBody();
    app.agent.next({ events: [{ type: 'text', text: 'half' }], result: { outcome: 'error', error } });
    const { status, body } = await app.post('/chat', { message: 'x' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'error', error: error.detail, error_code: 'model_auth' });
    const messages = await app.send(`/chat/${String(body.conversation_id)}/messages`);
    expect(messages.body.messages).toMatchObject([{ id: body.message_id, role: 'user' }]);
    const conversation = await app.send(`/chat/${String(body.conversation_id)}`);
    expect(conversation.body).toMatchObject({ status: 'idle', message_count: 1 });
  });

  it('answers an agent that breaks its port with 200 and nothing internal', async () => {
    await using app = await startApp();
    app.agent.next({ reject: new Error('secret path /home/x') });
    const { status, body } = await app.post('/chat', { message: 'x' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'error', error: 'internal error', error_code: 'internal_error' });
    expect(JSON.stringify(body)).not.toContain('/home/x');
  });

  it('answers a run that reached its time limit as timeout, with the text until then, stored', async () => {
    await using app = await startApp();
    const hold = app.agent.hold([{ type: 'message' }, { type: 'text', text: 'Once upon' }]);
    const answer = app.post('/chat', { message: 'a story', max_execution_ms: 2000 });
    await hold.reached;
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'timeout', result: 'Once upon', error_code: 'run_timeout' });
    expect(body.error).toEqual(expect.stringContaining('time limit'));
    const conversation_id = String(body.conversation_id);
    const messages = await app.send(`/chat/${conversation_id}/messages`);
    expect(messages.body.messages).toMatchObject([{}, { id: body.message_id, content: 'Once upon' }]);
    expect((await app.post('/chat', { message: 'go on', conversation_id })).body.status).toBe('success');
  });

  it('answers a run that a shutdown ended as an error that tells so, with its text kept', async () => {
    await using app = await startApp();
    const hold = app.agent.hold([{ type: 'message' }, { type: 'text', text: 'Not yet' }]);
    const answer = app.post('/chat', { message: 'x' });
    await hold.reached;
    await app.runs.stop({ graceMs: 0 });
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'error', error_code: 'run_cancelled', result: 'Not yet' });
  });

  it('refuses a message to a busy conversation with 409 and stores nothing of it', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    const conversation_id = String(body.conversation_id);
    const hold = app.agent.hold();
    const running = app.post('/chat', { message: 'long', conversation_id });
    await hold.reached;
    const before = app.rows();
    for (const stream of [false, true]) {
      const refused = await app.post('/chat', { message: 'me too', conversation_id, stream });
      expectProblem(refused, 409, 'conversation_busy');
      expect(refused.body).toMatchObject({
        error: `Conversation ${conversation_id} is currently processing another request`,
        conversation_id,
        retryable: true,
      });
      expect(refused.headers.get('retry-after')).toBe('1');
    }
    expect(app.rows()).toEqual(before);
    expect((await app.send(`/chat/${conversation_id}`)).body).toMatchObject({ status: 'running', message_count: 3 });
    hold.release();
    expect((await running).body.status).toBe('success');
  });

  it('refuses more runs than the agent takes with 503 and Retry-After, stores nothing of them, and takes the next', async () => {
    await using app = await startApp();
    app.agent.maxRuns = 2;
    const holds = [app.agent.hold(), app.agent.hold()];
    const running = holds.map((_, at) => app.post('/chat', { message: `run ${at}` }));
    await Promise.all(holds.map(({ reached }) => reached));
    const before = app.rows();

    for (const stream of [false, true]) {
      const refused = await app.post('/chat', { message: 'one more', stream });
      expectProblem(refused, 503, 'overloaded');
      expect(refused.body).toMatchObject({ retryable: true, detail: expect.stringContaining('2 runs are under way') });
      expect(refused.headers.get('retry-after')).toBe('5');
    }

    expect(app.rows()).toEqual(before);
    for (const hold of holds) hold.release();
    await Promise.all(running);
    expect((await app.post('/chat', { message: 'now' })).status).toBe(200);
  });

  it('begins a conversation in the session that the agent has ready, and tells it of one that returns', async () => {
    await using app = await startApp();
    const ready = '0a1b2c3d-0000-4000-8000-000000000000';
    app.agent.sessions.push(ready);
    const { body } = await app.post('/chat', { message: 'x' });
    expect(body.session_id).toBe(ready);
    await app.post('/chat', { message: 'y', conversation_id: body.conversation_id });
    expect(app.agent.expected).toMatchObject([
      { sessionId: ready, resume: false },
      { sessionId: ready, resume: true },
    ]);
  });

  it.each([false, true])('tells when another instance took the run over, and where (stream: %s)', async (stream) => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const answer = app.fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: 'x', stream }),
    });
    const { conversationId } = await hold.reached;
    await app.store.recoverRuns({ owner: 'another', at: '2026-01-31T09:30:00.000Z' });
    hold.release();
    const response = await answer;
    const text = await response.text();
    const body = parseObject(stream ? (/event: error\ndata: (.*)/.exec(text)?.[1] ?? '{}') : text);
    expect(response.status).toBe(stream ? 200 : 503);
    expect(body).toMatchObject({ code: 'run_lost', status: 503, conversation_id: conversationId, retryable: true });
  });

  it('answers an unknown conversation_id with 404, streamed or not, and stores nothing', async () => {
    await using app = await startApp();
    const before = app.rows();
    for (const stream of [false, true]) {
      const answer = await app.post('/chat', { message: 'x', conversation_id: 'conv-nope', stream });
      expectProblem(answer, 404, 'not_found');
      expect(answer.body).toMatchObject({
        error: 'conversation_id not found: conv-nope',
        conversation_id: 'conv-nope',
      });
    }
    expect(app.rows()).toEqual(before);
  });

  it('refuses new work while the server is shutting down, before it reads the body', async () => {
    await using app = await startApp({ stopping: () => true });
    const answer = await app.send('/chat', { method: 'POST', body: 'not even JSON' });
    expectProblem(answer, 503, 'shutting_down');
    expect(answer.headers.get('retry-after')).toBe('10');
  });
});

describe('an answer that cannot be made durable', () => {
  it('is refused at the start, and nothing of the request is left', async () => {
    await using app = await startApp();
    const before = app.rows();
    app.breakVolumeAtSync();
    const answer = await app.post('/chat', { message: 'x' });
    expectProblem(answer, 503, 'not_durable');
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(app.rows()).toEqual(before);
    expect(app.agent.requests).toEqual([]);
    app.repairVolume();
    expect((await app.post('/chat', { message: 'x' })).body.status).toBe('success');
  });

  it('is refused at the end, JSON or stream, naming its conversation, and its outbound messages stay', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    const conversation_id = String(body.conversation_id);
    app.sql(
      "INSERT INTO outbound_messages (id, conversation_id, text, created_at) VALUES ('out-1', ?, 'hi', '2026-01-31T09:30:00.000Z')",
      conversation_id,
    );
    const hold = app.agent.hold([{ type: 'message' }, { type: 'text', text: 'Yes' }]);
    const answer = app.post('/chat', { message: 'y', conversation_id });
    await hold.reached;
    app.breakVolume();
    hold.release();
    const refused = await answer;
    expectProblem(refused, 503, 'not_durable');
    expect(refused.body).toMatchObject({ conversation_id });
    app.repairVolume();
    const next = await app.post('/chat', { message: 'z', conversation_id });
    expect(next.body.outbound_messages).toMatchObject([{ id: 'out-1' }]);
  });

  it('names the conversation that it began', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    const { conversationId } = await hold.reached;
    app.breakVolume();
    hold.release();
    expect((await answer).body).toMatchObject({ code: 'not_durable', conversation_id: conversationId });
  });
});
