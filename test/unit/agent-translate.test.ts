/** From the SDK's messages to events: a stream and the messages that settle it always add up to what the model said. */

import { randomUUID } from 'node:crypto';
import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AgentEvent } from '../../src/agent/agent.ts';
import { beforeTheFirst, translate } from '../../src/agent/translate.ts';
import { textOf } from '../support/agent-host.ts';

test('a message streams, and its settling adds nothing', () => {
  const events = told(start('a'), block(), delta('Hel'), delta('lo'), settled('a', 'Hello'), stop());
  expect(events).toEqual([{ type: 'message' }, text('Hel'), text('lo')]);
});

test('what the stream left out of a block is added when it is settled', () => {
  expect(told(start('a'), block(), delta('Hel'), settled('a', 'Hello'), stop())).toEqual([
    { type: 'message' },
    text('Hel'),
    text('lo'),
  ]);
});

test('a stream that said something else is taken back', () => {
  const events = told(
    start('a'),
    block(),
    delta('One.'),
    settled('a', 'One.'),
    block(),
    delta('Tow'),
    settled('a', 'Two'),
  );
  expect(events.slice(2)).toEqual([text('Tow'), { type: 'restart', keepsThinking: true }, text('One.Two')]);
});

test('a message that begins before the last one was ended voids it', () => {
  const events = told(
    start('a'),
    block(),
    delta('Hel'),
    start('b'),
    block(),
    delta('Hello'),
    settled('b', 'Hello'),
    stop(),
  );
  expect(events).toEqual([{ type: 'message' }, text('Hel'), { type: 'restart' }, text('Hello')]);
});

test('a message_stop without a stop reason, which the CLI adds to a broken stream, ends nothing', () => {
  const cliStop = stream({ type: 'message_stop' });
  const events = told(start('a'), block(), delta('Hel'), cliStop, settled('b', 'Hello'));
  expect(events).toEqual([{ type: 'message' }, text('Hel'), { type: 'restart' }, text('Hello')]);
});

test('of a broken message the settled blocks stand, and the next message goes on from there', () => {
  const broken = [start('a'), block(), delta('One.'), settled('a', 'One.'), block()];
  expect(told(...broken, start('b'), block(), delta('Two.')).slice(2)).toEqual([
    { type: 'message', continues: true },
    text('Two.'),
  ]);
  expect(told(...broken, delta('Tw'), start('b'), block(), delta('Two.')).slice(3)).toEqual([
    { type: 'restart', keepsThinking: true },
    text('One.'),
    { type: 'message', continues: true },
    text('Two.'),
  ]);
});

test('a message that met the output limit is gone on with by the next', () => {
  const cut = [start('a'), block(), delta('Once up'), settled('a', 'Once up'), stop('max_tokens')];
  const goesOn = [{ type: 'message', continues: true }, text('on a time.')];
  expect(told(...cut, start('b'), block(), delta('on a time.')).slice(2)).toEqual(goesOn);
  expect(told(...cut, settled('b', 'on a time.')).slice(2)).toEqual(goesOn);
});

test('a message that the model declined is taken back by the next', () => {
  const declined = [start('a'), block(), delta('I can'), settled('a', 'I can'), stop('refusal')];
  expect(told(...declined, start('b'), block(), delta('Yes.')).slice(2)).toEqual([{ type: 'restart' }, text('Yes.')]);
  expect(told(...declined, settled('b', 'Yes.')).slice(2)).toEqual([{ type: 'restart' }, text('Yes.')]);
});

test('why one message ended says nothing of the next', () => {
  const events = told(start('a'), stop('max_tokens'), start('b'), stop(), start('c'), stop('refusal'), start('d'));
  expect(events.slice(1)).toEqual([{ type: 'message', continues: true }, { type: 'message' }, { type: 'restart' }]);
  const unended = stream({ type: 'message_delta', delta: { stop_reason: null }, usage: {} });
  expect(told(start('a'), stop('max_tokens'), start('b'), unended, start('c')).at(-1)).toEqual({ type: 'restart' });
});

test('a message without a stream is taken whole, block by block', () => {
  const events = told(settled('a', 'One.'), settled('a', 'Two.'), settled('b', 'Three.'));
  expect(events).toEqual([{ type: 'message' }, text('One.'), text('Two.'), { type: 'message' }, text('Three.')]);
});

test('a tool call is told once, with its whole input', () => {
  const use = { type: 'tool_use', id: 't', name: 'Bash', input: { command: 'ls' } };
  const events = told(
    start('a'),
    stream({ type: 'content_block_start', index: 0, content_block: use }),
    assistant('a', [use]),
  );
  expect(events).toEqual([{ type: 'message' }, { type: 'tool_use', tool: 'Bash', input: { command: 'ls' } }]);
});

test('thinking is told as thinking and is no text', () => {
  const thought = stream({ type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } });
  const events = told(
    start('a'),
    block(),
    thought,
    assistant('a', [{ type: 'thinking', thinking: 'Hm.', signature: '' }]),
    block(),
    delta('Yes.'),
  );
  expect(events).toEqual([{ type: 'message' }, { type: 'thinking', text: 'Hm.' }, text('Yes.')]);
});

test('what a subagent says and what the CLI says in the model’s place is not told', () => {
  expect(told({ ...start('a'), parent_tool_use_id: 't' }, { ...delta('x'), parent_tool_use_id: 't' })).toEqual([]);
  expect(told({ ...settled('a', 'x'), parent_tool_use_id: 't' })).toEqual([]);
  expect(told({ ...settled('a', 'API Error: 500'), error: 'server_error' })).toEqual([]);
  expect(told(assistant('a', [{ type: 'text', text: 'No response requested.' }], '<synthetic>'))).toEqual([]);
});

test('however a message is cut into deltas and broken off before, its text arrives byte for byte', () => {
  const pieces = fc.array(fc.string({ unit: 'binary' }), { maxLength: 6 });
  fc.assert(
    fc.property(pieces, fc.array(pieces, { maxLength: 3 }), (said, broken) => {
      const attempts = broken.flatMap((each, at) => [start(`broken-${at}`), block(), ...each.map(delta)]);
      const whole = said.join('');
      const events = told(...attempts, start('last'), block(), ...said.map(delta), settled('last', whole), stop());
      expect(textOf(events)).toBe(whole);
    }),
  );
});

type Loose = { type: string; [member: string]: unknown };

function told(...messages: Loose[]): AgentEvent[] {
  let state = beforeTheFirst;
  return messages.flatMap((message) => {
    // The SDK's message types are too wide to build in a test; only the members that are read are given.
    const step = translate(state, message as unknown as SDKMessage);
    state = step.state;
    return step.events;
  });
}

function stream(event: Loose): Loose {
  return { type: 'stream_event', event, parent_tool_use_id: null, uuid: randomUUID(), session_id: 's' };
}

function start(id: string): Loose {
  return stream({ type: 'message_start', message: { id } });
}

function block(): Loose {
  return stream({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
}

function delta(said: string): Loose {
  return stream({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: said } });
}

function stop(reason = 'end_turn'): Loose {
  return stream({ type: 'message_delta', delta: { stop_reason: reason }, usage: { output_tokens: 1 } });
}

function settled(id: string, said: string): Loose {
  return assistant(id, [{ type: 'text', text: said }]);
}

function assistant(id: string, content: Loose[], model = 'claude-test'): Loose {
  return { type: 'assistant', message: { id, model, content }, parent_tool_use_id: null };
}

function text(said: string): AgentEvent {
  return { type: 'text', text: said };
}
