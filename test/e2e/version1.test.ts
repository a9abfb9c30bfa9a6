/** An installation of PicoClaw 1.x, started with this version on the same folders: clients notice nothing but what is better. */

import { mkdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Model, startModel } from '../support/model.ts';
import { post, startServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';
import { createVersion1, fill } from '../support/version1.ts';

const at = '2025-11-03T09:15:00.000Z';
let model: Model;
const dir = sharedFolder();

beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'We go on.' });
  mkdirSync(join(dir, 'store'));
  const db = createVersion1(join(dir, 'store/messages.db'));
  fill(db, 'conversations', [
    {
      id: 'conv-old',
      session_id: '11111111-2222-4333-8444-555555555555',
      last_assistant_uuid: 'gone',
      created_at: at,
      last_activity: at,
      message_count: 2,
      status: 'running',
    },
  ]);
  fill(db, 'messages', [
    {
      id: 'm1',
      conversation_id: 'conv-old',
      role: 'user',
      sender: 'user',
      sender_name: 'Ada',
      content: 'My ship is called Beagle.',
      created_at: at,
    },
    {
      id: 'm2',
      conversation_id: 'conv-old',
      role: 'assistant',
      sender: 'assistant',
      sender_name: 'Pico',
      content: 'A fine name.',
      created_at: at,
    },
  ]);
  fill(db, 'outbound_messages', [
    {
      id: 7,
      conversation_id: 'conv-old',
      text: 'Mind the tide.',
      sender: 'Pico',
      // As SQLite writes the time of today: an older one than OUTBOUND_TTL_DAYS would be past its time.
      created_at: new Date().toISOString().slice(0, 19).replace('T', ' '),
      delivered: 0,
    },
  ]);
  fill(db, 'scheduled_tasks', [
    {
      id: 'tide',
      conversation_id: 'conv-old',
      prompt: 'check the tide',
      schedule_type: 'cron',
      schedule_value: '0 6 * * *',
      next_run: '2125-11-04T06:00:00.000Z',
      context_mode: 'group',
      created_at: at,
    },
  ]);
  db.close();
});

afterAll(() => model.stop());

describe('the first start on a volume of 1.x', () => {
  it('takes everything over, delivers what was undelivered, once, and goes on with what was said', async () => {
    await using server = await startServer({ model, dir });
    expect((await server.get('/health')).body.database).toMatchObject({ conversations: 1, tasks: 1 });
    expect((await server.get('/chat/conv-old')).body).toMatchObject({
      status: 'idle',
      message_count: 2,
      created_at: at,
    });

    const answer = await server.chat({ message: 'Where were we?', conversation_id: 'conv-old' });
    expect(answer).toMatchObject({ status: 'success', result: 'We go on.' });
    expect(answer.outbound_messages).toMatchObject([{ text: 'Mind the tide.', conversation_id: 'conv-old' }]);
    const told = JSON.stringify(model.requests().at(-1)?.body.messages);
    expect(told, 'its transcript is gone, so the new session is told what was said').toContain('Beagle');

    const again = await server.chat({ message: 'And now?', conversation_id: 'conv-old' });
    expect(again.outbound_messages).toEqual([]);
    const { body } = await server.get('/chat/conv-old/messages');
    expect(body.messages).toHaveLength(6);
    expect(body.messages).toMatchObject([{ id: 'm1', sender_name: 'Ada' }, { id: 'm2' }, {}, {}, {}, {}]);
  });

  it('runs its tasks', async () => {
    await using server = await startServer({ model, dir });
    expect((await server.get('/tasks')).body.tasks).toMatchObject([
      { id: 'tide', conversation_id: 'conv-old', schedule_value: '0 6 * * *', timezone: 'UTC', status: 'active' },
    ]);
    const response = await post(`${server.url}/task/trigger`, { task_id: 'tide' });
    expect(await response.json()).toMatchObject({ status: 'success', result: 'We go on.' });
    expect(JSON.stringify(model.requests().at(-1)?.body.messages)).toContain('check the tide');
  });

  it('keeps the old file, which no later start touches', async () => {
    await using server = await startServer({ model, dir });
    await server.chat({ message: 'Once more.', conversation_id: 'conv-old' });
    const old = new DatabaseSync(join(dir, 'store/messages.v1.db'), { readOnly: true });
    expect(old.prepare('select count(*) as n from messages').get()).toEqual({ n: 2 });
    expect(old.prepare('select delivered from outbound_messages').get()).toEqual({ delivered: 0 });
    old.close();
    // The name that it had is now that of the database in use.
    expect(readlinkSync(join(dir, 'store/messages.db'))).toMatch(/^\d+-[0-9a-f]{16}\/messages\.db$/);
    const current = new DatabaseSync(join(dir, 'store/messages.db'), { readOnly: true });
    expect(current.prepare("select count(*) as n from messages where id in ('m1', 'm2')").get()).toEqual({ n: 2 });
    expect(current.prepare("select count(*) as n from messages where content = 'Once more.'").get()).toEqual({ n: 1 });
    current.close();
  });
});
