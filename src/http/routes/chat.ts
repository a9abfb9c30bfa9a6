/** POST /chat */

import { z } from '@hono/zod-openapi';
import { type ChatDeps, chat, type LiveChat } from '../../conversations/chat.ts';
import type { Log } from '../../lib/log.ts';
import { toErrorFrame, toFrame } from '../chat-events.ts';
import { type ChatLimits, chatRequest, toChatInput } from '../chat-request.ts';
import { type AnswerView, chatResponse, toChatResponse } from '../chat-response.ts';
import type { AppContext } from '../context.ts';
import { toProblem } from '../errors.ts';
import { type App, addRoute, defineRoute, none } from '../route.ts';
import { sseHeaders, sseStream } from '../sse.ts';

export type ChatRouteDeps = {
  operations: ChatDeps;
  log: Log;
  settings: ChatLimits & {
    /** Empty: it is off. */
    sessionEndMarker: string;
    heartbeatMs?: number;
  };
};

/** Below the idle limits of common proxies, the shortest of which is 30 s. */
const defaultHeartbeatMs = 15_000;

const description = `The answer comes when it is on the persistent volume. A run that failed or reached its time limit is
answered with 200 as well: \`status\` tells. What is wrong before the run begins is a problem with its own status, and
nothing of such a request is stored. A client that goes away does not stop the run.

With \`"stream": true\` the answer is \`text/event-stream\`. Every frame has an \`id\` (the event's number), an \`event\` and JSON
\`data\`; a comment is sent every 15 s of silence.

| Event | Data |
| --- | --- |
| \`start\` | \`{conversation_id, message_id, run_id}\`: the request is stored |
| \`thinking\` | \`{text}\`, with \`thinking\` |
| \`chunk\` | \`{text}\`: the next piece of the answer; with \`sender\` it repeats an outbound message |
| \`rewind\` | \`{keep}\`: the model began anew; of the answer so far only the first \`keep\` UTF-16 code units stand |
| \`tool_use\` | \`{tool, input}\`, with \`show_tool_use\` |
| \`outbound\` | \`{text, sender}\`: a message that the agent sent |
| \`done\` | the response object, without \`thinking\`; the last event |
| \`error\` | a Problem; the last event |`;

export const chatRoute = defineRoute({
  method: 'post',
  path: '/chat',
  operationId: 'chat',
  tag: 'Conversations',
  summary: 'Send a message and get the answer',
  description,
  params: none,
  query: none,
  body: { presence: 'required', schema: chatRequest },
  store: 'writes',
  success: {
    200: {
      description: 'The answer, or how the run ended without one.',
      content: {
        'application/json': { schema: chatResponse },
        'text/event-stream': { schema: z.string() },
      },
    },
  },
  problems: ['forbidden', 'not_found', 'conversation_busy', 'overloaded', 'run_lost'],
});

export function addChatRoutes(app: App, deps: ChatRouteDeps): void {
  addRoute(app, chatRoute, async (c, { body }) => {
    const entry = c.get('entry');
    entry.conversationId = body.conversation_id ?? null;
    const run = await chat(deps.operations, toChatInput(body, deps.settings));
    entry.runId = run.id;
    entry.conversationId = run.conversationId;
    const view: AnswerView = {
      stream: body.stream === true,
      thinking: body.thinking === true,
      toolUse: body.show_tool_use === true,
    };
    return view.stream ? answerStream(c, deps, { run, view }) : answerJson(c, deps, { run, view });
  });
}

async function answerJson(
  c: AppContext,
  { settings }: ChatRouteDeps,
  { run, view }: { run: LiveChat; view: AnswerView },
): Promise<Response> {
  const outcome = await run.outcome;
  c.get('entry').runStatus = outcome.status;
  return c.json(toChatResponse(outcome, { view, sessionEndMarker: settings.sessionEndMarker }));
}

function answerStream(
  c: AppContext,
  { settings, log }: ChatRouteDeps,
  { run, view }: { run: LiveChat; view: AnswerView },
): Response {
  const entry = c.get('entry');
  const input = {
    view,
    conversationId: run.conversationId,
    requestId: c.get('requestId'),
    sessionEndMarker: settings.sessionEndMarker,
  };
  const { body, end } = sseStream({
    events: run.events.read(),
    ended: run.ended,
    toFrame: (event) => {
      if (event.type === 'done') entry.runStatus = event.outcome.status;
      return toFrame(event, input);
    },
    toErrorFrame: (error) => toErrorFrame(toProblem(error, { log, requestId: input.requestId }), input),
    heartbeatMs: settings.heartbeatMs ?? defaultHeartbeatMs,
  });
  entry.streamEnd = end;
  return c.body(body, 200, sseHeaders);
}
