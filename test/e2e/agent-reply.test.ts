/** What the model said last: whether the session keeps it, and how a caller reads it when it came in pieces. */

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';
import { signalClaude } from '../support/agent-processes.ts';

const story = 'Once upon a time there was a very long story.';

test('a reply is kept after a success', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  expect((await host.run('hello')).result).toMatchObject({ outcome: 'success', replyKept: true });
});

test('a reply is kept when the run is interrupted in mid-stream', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  host.model.fault({ kind: 'stall', afterDeltas: 3 });
  const deadline = new AbortController();

  const ran = await host.run('story', {
    signal: deadline.signal,
    onEvent: (event) => event.type === 'text' && deadline.abort(),
  });

  expect(ran.text).not.toBe('');
  expect(ran.result).toMatchObject({ outcome: 'interrupted', promptTaken: true, replyKept: true });
});

test('a reply is lost when the claude process is killed in mid-stream', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  host.model.fault({ kind: 'stall', afterDeltas: 3 });

  const ran = await host.run('story', {
    onEvent: async (event) => {
      if (event.type === 'text') await signalClaude(host, 'SIGKILL');
    },
  });

  expect(ran.text).not.toBe('');
  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'agent_failed' }, replyKept: false });
});

test('the reply before is not taken for the one that was lost', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  const first = await host.run('a story');
  host.model.fault({ kind: 'stall', afterDeltas: 3 });
  const sessionId = first.sessionId;

  const second = await host.run('another story', {
    sessionId,
    resume: true,
    onEvent: async (event) => {
      if (event.type === 'text') await signalClaude(host, 'SIGKILL');
    },
  });

  expect([first.result.replyKept, second.result.replyKept]).toEqual([true, false]);
});

test('no reply is lost when the model has said nothing', async () => {
  await using host = await startAgentHost();
  const hold = host.model.fault({ kind: 'hold' });
  const deadline = new AbortController();
  void hold.reached.then(() => deadline.abort());

  const ran = await host.run('hello', { signal: deadline.signal });

  expect(ran.text).toBe('');
  expect(ran.result).toMatchObject({ outcome: 'interrupted', promptTaken: true, replyKept: true });
});

// Mounting a volume of a known size needs root.
test.skipIf(process.getuid?.() !== 0)('a reply is lost when the volume of the sessions is full', async () => {
  await using volume = await mountSmallVolume();
  await using host = await startAgentHost();
  // Where the transcripts are.
  await symlink(volume.dir, host.sessionsDir);
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const { bavail, bsize } = await statfs(volume.dir);
  await writeFile(join(volume.dir, 'filler'), Buffer.alloc(bavail * bsize));

  const ran = await host.run('hello');

  expect(ran.text).toBe('Hi.');
  expect(ran.result).toMatchObject({ outcome: 'success', replyKept: false });
});

test('an answer cut off by the output limit is gone on with, and its text has no seam', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /story/ }, { content: 'Once upon a ti', finishReason: 'length' });
  host.model.mock.on({ userMessage: /Output token limit hit/ }, { content: 'me there was.' });

  const ran = await host.run('story');

  expect(ran.result.outcome).toBe('success');
  expect(ran.text).toBe('Once upon a time there was.');
  expect(ran.events.filter((event) => event.type !== 'text')).toEqual([
    { type: 'message' },
    { type: 'message', continues: true },
  ]);
});

test('an answer that is cut off by the output limit every time is a limit of the model, told in words of our own', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Once upon a ti', finishReason: 'length' });

  const ran = await host.run('story');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'limit_reached', retryable: false } });
  expect(ran.result.error?.detail).toBe('The answer was longer than the model may write.');
});

test('an answer that the model declines and then gives is told once', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'I cannot.', finishReason: 'refusal' });
  host.model.mock.on({ userMessage: /stopped by a safety classifier/ }, { content: 'I can.' });

  const ran = await host.run('hello');

  expect(ran.result.outcome).toBe('success');
  expect(ran.text).toBe('I can.');
  expect(ran.events.filter((event) => event.type !== 'text')).toEqual([{ type: 'message' }, { type: 'restart' }]);
});

async function mountSmallVolume(): Promise<AsyncDisposable & { dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'picoclaw-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]);
  await mkdir(join(dir, 'projects'));
  return {
    dir,
    [Symbol.asyncDispose]: async () => {
      execFileSync('umount', [dir]);
      await rm(dir, { recursive: true });
    },
  };
}
