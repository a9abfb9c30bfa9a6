/** The model that the documents show: what it says to the prompts in them, and which tools it uses. */

import { type Model, startModel } from './model.ts';

export async function startDocumentModel(): Promise<Model> {
  const model = await startModel({ chunkSize: 14 });
  const { mock } = model;
  mock.on(
    { userMessage: /What can you do\?/ },
    { content: 'Hello! I can read and write files, run commands and set myself tasks.' },
  );
  mock.on({ userMessage: /what did I just ask\?/ }, { content: 'You asked what I can do.' });
  mock.on({ userMessage: /Look into notes\.md/ }, { content: 'notes.md is tidy.' });
  mock.on({ userMessage: /in three words/ }, { content: 'Calm, wide, blue.' });
  mock.on({ userMessage: /And in one\?/ }, { content: 'Blue.' });
  mock.on(
    { userMessage: /Tell me when you begin/, hasToolResult: false },
    { toolCalls: [{ name: 'mcp__picoclaw__send_message', arguments: '{"text":"I begin."}' }] },
  );
  mock.on({ userMessage: /Tell me when you begin/, hasToolResult: true }, { content: 'It is done.' });
  mock.on({ userMessage: /Write the report/ }, { content: 'The report is in reports/today.md.' });
  mock.on({ userMessage: /Who are you\?/ }, ({ messages }) => ({
    // It knows no more than it is told: the persona has to be in the request.
    content: JSON.stringify(messages).includes('lighthouse keeper') ? 'I keep the lighthouse.' : 'I am an assistant.',
  }));
  return model;
}
