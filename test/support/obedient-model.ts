/**
 * A model that does as it is told: whatever a prompt wants to have called, it calls, and otherwise it says yes.
 *
 *     obey(model);
 *     await host.run(`run: echo hello`);                        // Bash, to the end of the line
 *     await server.chat({ message: asCall('Read', { file_path: '/etc/hosts' }) });
 *     lastResult(model)                                           // what the tool answered
 */

import { z } from 'zod';
import type { Model } from './model.ts';

export function obey(model: Model): void {
  model.mock.on({}, ({ messages }) => {
    // The CLI's own reminders come after the prompt.
    const last = messages.findLast(({ role }) => role !== 'system');
    if (last?.role !== 'user') return { content: 'Yes.' };
    const text = typeof last.content === 'string' ? last.content : JSON.stringify(last.content ?? '');
    const call = /call: ([\w+/=]+)/.exec(text)?.[1];
    if (call !== undefined) return { toolCalls: [toolCall.parse(JSON.parse(atob(call)))] };
    const command = /run: (.+)$/m.exec(text)?.[1];
    return command === undefined ? { content: 'Yes.' } : { toolCalls: [bash(command)] };
  });
}

/** A prompt that has a tool called. In a form that no escaping of a prompt changes. */
export function asCall(tool: string, input: object): string {
  return `call: ${btoa(JSON.stringify({ name: tool, arguments: JSON.stringify(input) }))}`;
}

/** A prompt that has a command run. */
export function asCommand(command: string): string {
  return `call: ${btoa(JSON.stringify(bash(command)))}`;
}

/** What the last request says that the tools answered; empty when the model was asked no more. */
export function lastResult(model: Model): string {
  return JSON.stringify(
    model
      .requests()
      .at(-1)
      ?.body.messages.findLast(({ role }) => role === 'user') ?? '',
  );
}

const toolCall = z.object({ name: z.string(), arguments: z.string() });

function bash(command: string): z.infer<typeof toolCall> {
  return { name: 'Bash', arguments: JSON.stringify({ command, description: 'A command' }) };
}
