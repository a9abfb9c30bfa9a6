/** Runs that wait for the skills. */

import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AgentRequest } from '../../src/agent/agent.ts';
import { waitFor } from '../../src/agent/wait-for.ts';
import { runOptions } from '../support/agent-host.ts';
import { ScriptedAgent } from '../support/http-agent.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

function start() {
  const scripted = new ScriptedAgent();
  const ready = Promise.withResolvers<void>();
  // A class instance: what it can do lies on its prototype.
  const inner = {
    ...scripted,
    run: scripted.run.bind(scripted),
    newSessionId: scripted.newSessionId.bind(scripted),
    expect: scripted.expect.bind(scripted),
    letGo: scripted.letGo.bind(scripted),
    heldPrompts: scripted.heldPrompts.bind(scripted),
    forget: scripted.forget.bind(scripted),
    forgetArchives: scripted.forgetArchives.bind(scripted),
    health: scripted.health.bind(scripted),
    stop: scripted.stop.bind(scripted),
  };
  const agent = waitFor(inner, { ready: () => ready.promise, maxWaitMs: 10_000 });
  const abort = new AbortController();
  const request: AgentRequest = {
    runId: 'run-1',
    conversationId: 'conv-1',
    sessionId: randomUUID(),
    resume: false,
    prompt: { id: randomUUID(), text: 'hello' },
    freshSession: () => Promise.reject(new Error('not wanted')),
    options: runOptions,
    signal: abort.signal,
  };
  return { requests: scripted.requests, ready, abort, run: () => agent.run(request, () => undefined) };
}

describe('a run that needs the skills', () => {
  it('begins when they are there', async () => {
    const { requests, ready, run } = start();
    const running = run();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(requests).toHaveLength(0);
    ready.resolve();
    expect(await running).toMatchObject({ outcome: 'success' });
  });

  it('begins without them where they take too long', async () => {
    const { requests, run } = start();
    const running = run();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await running).toMatchObject({ outcome: 'success' });
    expect(requests).toHaveLength(1);
  });

  it('ends at its own end, waiting or not', async () => {
    const { abort, run } = start();
    const running = run();
    abort.abort('timeout');
    expect(await running).toMatchObject({ outcome: 'interrupted' });
    expect(await run()).toMatchObject({ outcome: 'interrupted' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
