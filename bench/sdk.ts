/**
 * The floor of everything that has a run: the SDK and its claude process alone, without a server, a sandbox or tools of ours,
 * against the same loopback model.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Query, type SDKUserMessage, startup } from '@anthropic-ai/claude-agent-sdk';
import { Inbox } from '../src/agent/inbox.ts';
import type { Model } from '../test/support/model.ts';
import { makeDir } from '../test/support/server.ts';
import { type Row, stats, toRow } from './stats.ts';

const processes = 12;
const turns = 5;

/** As long as the benches of the server wait for a spare to come to rest. */
const settleMs = 500;

export async function benchSdk(model: Model): Promise<Row[]> {
  const cold: number[] = [];
  const first: number[] = [];
  const live: number[] = [];
  for (let index = 0; index < processes; index += 1) {
    const start = performance.now();
    await using used = await begin(model.url);
    cold.push((await used.firstText()) - start);
    await using spare = await begin(model.url);
    await sleep(settleMs);
    for (let turn = 0; turn <= turns; turn += 1) {
      const sent = performance.now();
      (turn === 0 ? first : live).push((await spare.firstText()) - sent);
    }
  }
  return [
    toRow('the SDK alone: its process started → first text', stats(cold)),
    toRow('the SDK alone: first text of a process that is ready', stats(first)),
    toRow('the SDK alone: first text, live', stats(live)),
  ];
}

type Begun = AsyncDisposable & {
  /** Sends a prompt, waits for the end of its turn, and tells when its first text came. */
  firstText(): Promise<number>;
};

async function begin(modelUrl: string): Promise<Begun> {
  const dir = makeDir();
  const warm = await startup({
    options: {
      cwd: dir,
      includePartialMessages: true,
      permissionMode: 'bypassPermissions',
      allowDangerouslySkipPermissions: true,
      settingSources: [],
      env: {
        PATH: process.env.PATH,
        HOME: dir,
        IS_SANDBOX: '1',
        CLAUDE_CONFIG_DIR: join(dir, 'config'),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        ANTHROPIC_API_KEY: 'sk-ant-bench',
        ANTHROPIC_BASE_URL: modelUrl,
      },
    },
  });
  const inbox = new Inbox<SDKUserMessage>();
  const query = warm.query(inbox);
  return {
    firstText: () => {
      inbox.push({ type: 'user', message: { role: 'user', content: 'hi' }, parent_tool_use_id: null });
      return untilResult(query);
    },
    [Symbol.asyncDispose]: async () => {
      query.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

async function untilResult(query: Query): Promise<number> {
  let firstAt = Number.NaN;
  for (;;) {
    const { done, value } = await query.next();
    if (done) throw new Error('the process ended in a turn');
    const isText = value.type === 'stream_event' && value.event.type === 'content_block_delta';
    if (isText && Number.isNaN(firstAt)) firstAt = performance.now();
    if (value.type === 'result') return firstAt;
  }
}
