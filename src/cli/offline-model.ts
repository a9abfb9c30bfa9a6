/**
 * A stand-in for the model API on loopback, for `demo` without a key: scripted replies, no intelligence.
 *
 * It knows nothing but what is in the request, as the real model does: a reply that uses the name or the hobby proves
 * that the conversation reached it. It needs `@copilotkit/aimock`, a development dependency.
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

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
