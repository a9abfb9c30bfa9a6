/**
 * A stand-in for the model API on loopback, for `demo` without a key: scripted replies, no intelligence.
 *
 * It knows nothing but what is in the request, as the real model does: a reply that uses the name or the hobby proves
 * that the conversation reached it.
 */

import type { LLMock } from '@copilotkit/aimock';

export type OfflineModel = { url: string; stop(): Promise<void> };

/** Words a second, so that a person sees the answer stream. */
const streaming = { ttft: 150, tps: 22 };

/** Where the agent keeps what it is asked to write down, in its memory folder. */
export const notesFile = 'notes.md';

export async function startOfflineModel(): Promise<OfflineModel> {
  const { LLMock } = await import('@copilotkit/aimock');
  const mock = new LLMock({ host: '127.0.0.1', port: 0, chunkSize: 6 });
  script(mock);
  await mock.start();
  return { url: mock.url, stop: () => mock.stop() };
}

function script(mock: LLMock): void {
  mock.on(
    { userMessage: /write it down/i, hasToolResult: false },
    (request) => {
      const { name, hobby } = known(request.messages);
      return {
        content: `I will put that into ${notesFile}.`,
        toolCalls: [
          {
            name: 'Bash',
            arguments: JSON.stringify({ command: `echo ${quote(`- ${name} likes to ${hobby}`)} >> ${notesFile}` }),
          },
        ],
      };
    },
    { streamingProfile: streaming },
  );
  mock.on(
    { userMessage: /write it down/i, hasToolResult: true },
    { content: 'Done. It is in my memory folder, on the volume.' },
    { streamingProfile: streaming },
  );
  mock.on(
    { userMessage: /remind me to clean the lamp: schedule it/i, hasToolResult: false },
    (request) => ({
      content: 'I will set a task for that.',
      toolCalls: [
        {
          name: 'mcp__picoclaw__schedule_task',
          arguments: JSON.stringify({
            prompt: 'Send a message that reminds of cleaning the lamp.',
            schedule_type: 'once',
            schedule_value: localTime(Date.now() + taskDelayMs, zoneOf(request.messages)),
          }),
        },
      ],
    }),
    { streamingProfile: streaming },
  );
  mock.on(
    { userMessage: /remind me to clean the lamp: schedule it/i, hasToolResult: true },
    { content: 'It is set. Whoever calls /task/check then will see it run.' },
    { streamingProfile: streaming },
  );
  mock.on({ userMessage: /\[SCHEDULED TASK\]/, hasToolResult: false }, (request) => ({
    content: '',
    toolCalls: [
      {
        name: 'mcp__picoclaw__send_message',
        arguments: JSON.stringify({ text: `${known(request.messages).name}, it is time to clean the lamp!` }),
      },
    ],
  }));
  mock.on({ userMessage: /\[SCHEDULED TASK\]/, hasToolResult: true }, { content: 'The reminder is sent.' });
  mock.on(
    { userMessage: /what do you know/i },
    (request) => {
      const { name, hobby } = known(request.messages);
      return { content: `You are ${name}, and you like to ${hobby}. It is also in ${notesFile}.` };
    },
    { streamingProfile: streaming },
  );
  mock.on(
    { userMessage: /what is my name/i },
    (request) => ({ content: `Your name is ${known(request.messages).name}.` }),
    { streamingProfile: streaming },
  );
  mock.on(
    {},
    (request) => ({
      content:
        `Hello ${known(request.messages).name}, nice to meet you! I am a script that stands in for the model: ` +
        'everything around me is real, but do not expect me to think.',
    }),
    { streamingProfile: streaming },
  );
}

type RequestMessage = { role: string; content: string | { type: string; text?: string }[] | null };

/** What the user said in this conversation, read from the request alone. */
function known(messages: RequestMessage[]): { name: string; hobby: string } {
  const said = messages
    .filter((message) => message.role === 'user')
    .map(({ content }) =>
      typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join(''),
    )
    .join('\n');
  const match = /my name is (\w+) and I ([^.<&]+)/i.exec(said);
  return { name: match?.[1] ?? 'stranger', hobby: match?.[2] ?? 'keep things to yourself' };
}

const taskDelayMs = 4_000;

/** The zone that the server names in every prompt. */
function zoneOf(messages: RequestMessage[]): string {
  return /<context timezone="([^"]+)"/.exec(JSON.stringify(messages).replaceAll('\\"', '"'))?.[1] ?? 'UTC';
}

/** `YYYY-MM-DDTHH:MM:SS`, as a `once` task wants it. */
function localTime(ms: number, timeZone: string): string {
  // The one locale that writes dates so.
  return new Date(ms).toLocaleString('sv-SE', { timeZone }).replace(' ', 'T');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
