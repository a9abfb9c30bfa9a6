/**
 * One client of whatever instance is there. What it is answered goes into the ledger.
 *
 * Its conversations and tasks are its own: nobody else is the reason for a refusal. A request without an answer, or with
 * one of 5xx, leaves in doubt what it asked for; the client then goes on with something else.
 */

import { z } from 'zod';
import { readFrames } from '../support/frames.ts';
import type { Ledger } from './ledger.ts';
import type { Machine } from './machine.ts';
import type { Random } from './random.ts';

const sent = z.looseObject({ id: z.string(), text: z.string() });
const chatAnswer = z.looseObject({
  status: z.string(),
  conversation_id: z.string(),
  run_id: z.string(),
  result: z.string().nullable(),
  outbound_messages: z.array(sent),
});
const ran = z.looseObject({
  task_id: z.string(),
  run_id: z.string(),
  status: z.string(),
  outbound_messages: z.array(sent),
});
const checked = z.looseObject({ executed: ran.optional() });
const messages = z.looseObject({ messages: z.array(z.looseObject({ content: z.string() })) });
const task = z.looseObject({ prompt: z.string() });

/** Null: no answer, or one that says nothing for certain. */
type Answer = { status: number; body: unknown } | null;

export type ClientInput = { name: string; ledger: Ledger; random: Random; fatShare: number; timeoutMs: number };

const weights = {
  chat: 34,
  stream: 10,
  scheduleTool: 7,
  sendTool: 7,
  listTool: 1,
  outbound: 6,
  makeTask: 7,
  changeTask: 7,
  deleteTask: 2,
  trigger: 5,
  check: 5,
  readChat: 6,
  readTask: 3,
};

export class Client {
  readonly #input: ClientInput;
  readonly #conversations: string[] = [];
  #count = 0;

  constructor(input: ClientInput) {
    this.#input = input;
  }

  /** Goes on with a conversation that another client has begun, and which is over. */
  adopt(conversationId: string): void {
    this.#conversations.push(conversationId);
  }

  /** One request. False: it had no certain answer. */
  act(machine: Machine, action = this.#input.random.pickName(weights)): Promise<boolean> {
    switch (action) {
      case 'chat':
        return this.#chat(machine, '');
      case 'stream':
        return this.#stream(machine);
      case 'scheduleTool':
        return this.#scheduleByTool(machine);
      case 'sendTool':
        return this.#chat(machine, JSON.stringify({ name: 'send_message', arguments: { text: this.#token('told') } }));
      case 'listTool':
        return this.#chat(machine, JSON.stringify({ name: 'list_tasks', arguments: {} }));
      case 'outbound':
        return this.#sendOutbound(machine);
      case 'makeTask':
        return this.#makeTask(machine);
      case 'changeTask':
        return this.#changeTask(machine);
      case 'deleteTask':
        return this.#deleteTask(machine);
      case 'trigger':
        return this.#trigger(machine);
      case 'check':
        return this.#check(machine);
      case 'readChat':
        return this.#readChat(machine);
      case 'readTask':
        return this.#readTask(machine);
      default:
        return action satisfies never;
    }
  }

  /** A message of almost as much as a body may hold: five of them make a snapshot due. */
  fatChat(machine: Machine): Promise<boolean> {
    return this.#chat(machine, '', 900_000 + this.#input.random.below(100_000));
  }

  async #chat(machine: Machine, call: string, padding = this.#padding()): Promise<boolean> {
    const { ledger } = this.#input;
    const { token, conversationId, body } = this.#message(call, padding);
    ledger.sent(token, conversationId);
    const answer = await this.#send(machine, 'POST', '/chat', body);
    if (answer === null) return this.#doubt(conversationId);
    if (answer.status !== 200) {
      ledger.refused(token);
      if (answer.status === 404) ledger.faults.push(`conversation ${conversationId} is gone`);
      return true;
    }
    this.#answered(token, answer.body);
    return true;
  }

  async #stream(machine: Machine): Promise<boolean> {
    const { ledger } = this.#input;
    const { token, conversationId, body } = this.#message('', this.#padding());
    ledger.sent(token, conversationId);
    try {
      const response = await this.#fetch(machine, 'POST', '/chat', { ...body, stream: true });
      if (response.status >= 400 && response.status < 500) ledger.refused(token);
      if (response.status !== 200) {
        await response.text();
        return response.status < 500 || this.#doubt(conversationId);
      }
      for await (const { event, data } of readFrames(response)) {
        if (event === 'start') ledger.stored(token, String(data.conversation_id));
        if (event === 'error') return this.#doubt(conversationId);
        if (event !== 'done') continue;
        this.#answered(token, data);
        return true;
      }
    } catch {}
    return this.#doubt(conversationId);
  }

  #message(call: string, padding: number) {
    const { random } = this.#input;
    const token = this.#token('said');
    const goesOn = this.#conversations.length > 0 && random.chance(0.7);
    const conversationId = goesOn ? random.pick(this.#conversations) : null;
    const message = `${token}|${call}|${'x'.repeat(padding)}`;
    return {
      token,
      conversationId,
      body: { message, ...(conversationId === null ? {} : { conversation_id: conversationId }) },
    };
  }

  #answered(token: string, body: unknown): void {
    const { ledger } = this.#input;
    const {
      conversation_id: conversationId,
      result,
      status,
      run_id: runId,
      outbound_messages: outbound,
    } = chatAnswer.parse(body);
    if (!this.#conversations.includes(conversationId)) this.#conversations.push(conversationId);
    for (const { id, text } of outbound) {
      ledger.outboundStored(id, text);
      ledger.outboundDelivered(id, text);
    }
    if (status === 'success') ledger.answered(token, { conversationId, said: result ?? '', runId, status });
    // Ended by a shutdown: the message is kept, without an answer.
    else ledger.stored(token, conversationId);
  }

  async #scheduleByTool(machine: Machine): Promise<boolean> {
    const { ledger } = this.#input;
    const id = this.#token('task');
    const prompt = `task:${id}`;
    ledger.taskInDoubt(id, prompt);
    const args = { id, prompt, schedule_type: 'once', schedule_value: '2020-01-01T00:00:00', context_mode: 'isolated' };
    const token = `said-${this.#input.name}-${this.#count + 1}`;
    const isCertain = await this.#chat(machine, JSON.stringify({ name: 'schedule_task', arguments: args }));
    // The agent repeats what the tool said to it.
    if (isCertain && ledger.isAnswered(token, `done: Task ${id} created`)) ledger.taskIs(id, prompt);
    return isCertain;
  }

  async #sendOutbound(machine: Machine): Promise<boolean> {
    const conversationId = this.#conversations.at(-1);
    if (conversationId === undefined) return this.#chat(machine, '');
    const text = this.#token('out');
    const answer = await this.#send(machine, 'POST', `/chat/${conversationId}/outbound`, { text });
    if (answer?.status === 201) this.#input.ledger.outboundStored(sent.parse(answer.body).id, text);
    return answer !== null;
  }

  async #makeTask(machine: Machine): Promise<boolean> {
    const { ledger, random } = this.#input;
    const id = this.#token('task');
    const prompt = `task:${id}`;
    const conversationId = random.chance(0.3) ? this.#conversations.at(-1) : undefined;
    ledger.taskInDoubt(id, prompt);
    const answer = await this.#send(machine, 'POST', '/task', {
      id,
      prompt,
      schedule_type: 'once',
      schedule_value: '2020-01-01T00:00:00',
      ...(conversationId === undefined ? {} : { conversation_id: conversationId, context_mode: 'group' }),
    });
    if (answer !== null) ledger.taskIs(id, answer.status === 201 ? prompt : null);
    return answer !== null;
  }

  #changeTask(machine: Machine): Promise<boolean> {
    const prompt = `task:${this.#token('changed')}`;
    return this.#onTask(machine, 'PUT', prompt, { prompt });
  }

  #deleteTask(machine: Machine): Promise<boolean> {
    return this.#onTask(machine, 'DELETE', null);
  }

  async #onTask(machine: Machine, method: 'PUT' | 'DELETE', prompt: string | null, body?: object): Promise<boolean> {
    const { ledger } = this.#input;
    const id = this.#someTask();
    if (id === null) return this.#makeTask(machine);
    const before = ledger.allowedPrompts(id);
    ledger.taskInDoubt(id, prompt);
    const answer = await this.#send(machine, method, `/task/${id}`, body);
    if (answer === null) return false;
    if (answer.status < 300) ledger.taskIs(id, prompt);
    else for (const value of before) ledger.taskIs(id, value);
    return true;
  }

  async #trigger(machine: Machine): Promise<boolean> {
    const id = this.#someTask();
    if (id === null) return this.#makeTask(machine);
    const answer = await this.#send(machine, 'POST', '/task/trigger', { task_id: id });
    if (answer?.status === 200) this.#ran(answer.body);
    return answer !== null;
  }

  async #check(machine: Machine): Promise<boolean> {
    const answer = await this.#send(machine, 'POST', '/task/check', {});
    if (answer?.status !== 200) return answer !== null;
    const { executed } = checked.parse(answer.body);
    if (executed !== undefined) this.#ran(executed);
    return true;
  }

  #ran(body: unknown): void {
    const { task_id: taskId, run_id: runId, status } = ran.parse(body);
    if (status === 'success') this.#input.ledger.taskRan(taskId, runId, status);
  }

  /** What it said it holds before the request was sent, it must show. */
  async #readChat(machine: Machine): Promise<boolean> {
    const { ledger, random } = this.#input;
    if (this.#conversations.length === 0) return this.#chat(machine, '');
    const id = random.pick(this.#conversations);
    const known = ledger.messagesOf(id);
    if (known.length > 150) return true;
    const answer = await this.#send(machine, 'GET', `/chat/${id}/messages?limit=200`);
    if (answer === null) return false;
    if (answer.status !== 200) ledger.faults.push(`conversation ${id} is ${answer.status}`);
    else {
      const shown = new Set(messages.parse(answer.body).messages.map(({ content }) => content.split('|')[0]));
      for (const one of known) if (!shown.has(one)) ledger.faults.push(`stale read: ${one} is not in ${id}`);
    }
    return true;
  }

  async #readTask(machine: Machine): Promise<boolean> {
    const { ledger } = this.#input;
    const id = this.#someTask();
    if (id === null) return this.#makeTask(machine);
    const allowed = ledger.allowedPrompts(id);
    const answer = await this.#send(machine, 'GET', `/task/${id}`);
    if (answer === null) return false;
    const prompt = answer.status === 200 ? task.parse(answer.body).prompt : null;
    if (!allowed.has(prompt))
      ledger.faults.push(`stale read: task ${id} is ${prompt}, and should be ${[...allowed].join(' or ')}`);
    return true;
  }

  #someTask(): string | null {
    const { ledger, name, random } = this.#input;
    const tasks = ledger.knownTasks(`task-${name}-`);
    return tasks.length === 0 ? null : random.pick(tasks);
  }

  #token(kind: string): string {
    this.#count += 1;
    return `${kind}-${this.#input.name}-${this.#count}`;
  }

  #padding(): number {
    const { random, fatShare } = this.#input;
    return random.chance(fatShare) ? 300_000 + random.below(400_000) : random.below(3_000);
  }

  /** Its run may still be under way. */
  #doubt(conversationId: string | null): boolean {
    const at = conversationId === null ? -1 : this.#conversations.indexOf(conversationId);
    if (at >= 0) this.#conversations.splice(at, 1);
    return false;
  }

  async #send(machine: Machine, method: string, path: string, body?: object): Promise<Answer> {
    try {
      const response = await this.#fetch(machine, method, path, body);
      const text = await response.text();
      if (response.status === 500) this.#input.ledger.faults.push(`${method} ${path} is 500: ${text}`);
      return response.status >= 500 ? null : { status: response.status, body: text === '' ? null : JSON.parse(text) };
    } catch {
      return null;
    }
  }

  #fetch({ url }: Machine, method: string, path: string, body?: object): Promise<Response> {
    if (url === null) throw new Error('it does not listen');
    return fetch(`${url}${path}`, {
      method,
      signal: AbortSignal.timeout(this.#input.timeoutMs),
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}
