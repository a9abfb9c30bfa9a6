/** Examples of the operations on conversations. */

import type { z } from '@hono/zod-openapi';
import type { ChatRequest } from '../chat-request.ts';
import type { ChatResponse } from '../chat-response.ts';
import type { conversationList, conversationResponse, messageList } from '../conversation-json.ts';
import {
  conversationId,
  model,
  type OperationExamples,
  replyId,
  runId,
  sessionId,
  unknownField,
  userMessageId,
} from './example.ts';

const question = 'What is on my list for today?';
const reply = 'Three things: the dentist at ten, the parcel, and the report for Ada.';
const askedAt = '2026-01-31T09:30:00.000Z';
const answeredAt = '2026-01-31T09:30:04.210Z';

const outbound = {
  id: 'out-3e4f5a6b-7c8d-4e9f-8a0b-2c3d4e5f6a7b',
  conversation_id: conversationId,
  text: 'The deployment is through.',
  sender: 'deployer',
  created_at: '2026-01-31T09:29:12.000Z',
};

const answer: ChatResponse = {
  status: 'success',
  conversation_id: conversationId,
  message_id: replyId,
  result: reply,
  model,
  session_id: sessionId,
  duration_ms: 4210,
  outbound_messages: [],
  session_end_marker: '[[PICOCLAW_SESSION_END]]',
  session_end_marker_detected: false,
  run_id: runId,
  usage: { input_tokens: 812, output_tokens: 64, cache_read_input_tokens: 11_200, cache_creation_input_tokens: 0 },
  cost_usd: 0.0068,
  num_turns: 1,
};

const timedOut: ChatResponse = {
  ...answer,
  status: 'timeout',
  result: 'Three things: the dentist',
  duration_ms: 120_000,
  error: 'the run reached its time limit; the text until then is kept',
  error_code: 'run_timeout',
};

const failed: ChatResponse = {
  ...answer,
  status: 'error',
  message_id: userMessageId,
  result: null,
  duration_ms: 930,
  error: 'The model API refused the credential: invalid x-api-key',
  error_code: 'model_auth',
  usage: { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
  cost_usd: 0,
};

const frames = [
  { event: 'start', data: { conversation_id: conversationId, message_id: userMessageId, run_id: runId } },
  { event: 'tool_use', data: { tool: 'Read', input: { file_path: 'list.md' } } },
  { event: 'chunk', data: { text: reply.slice(0, 14) } },
  { event: 'chunk', data: { text: reply.slice(14) } },
  { event: 'done', data: { ...answer, tool_uses: [{ tool: 'Read', input: { file_path: 'list.md' } }] } },
];
const stream = frames
  .map(({ event, data }, index) => `id: ${index + 1}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  .join('');

const first: ChatRequest = { message: question };
const followUp: ChatRequest = { message: 'And tomorrow?', conversation_id: conversationId };
const streamed: ChatRequest = { message: question, stream: true, show_tool_use: true };
const limited: ChatRequest = {
  message: 'Compare the three offers in offers/ and say which is the best.',
  sender: 'u-17',
  sender_name: 'Ada',
  model,
  thinking: true,
  max_thinking_tokens: 8000,
  effort: 'high',
  max_execution_ms: 120_000,
  max_turns: 20,
  max_budget_usd: 0.5,
};

const conversation: z.output<typeof conversationResponse> = {
  conversation_id: conversationId,
  session_id: sessionId,
  message_count: 2,
  last_activity: answeredAt,
  created_at: askedAt,
  status: 'idle',
};
const conversations: z.output<typeof conversationList> = {
  conversations: [{ id: conversationId, ...conversation }],
  next_cursor: null,
};
const messages: z.output<typeof messageList> = {
  conversation_id: conversationId,
  messages: [
    {
      id: userMessageId,
      conversation_id: conversationId,
      role: 'user',
      sender: 'user',
      sender_name: 'user',
      content: question,
      created_at: askedAt,
    },
    {
      id: replyId,
      conversation_id: conversationId,
      role: 'assistant',
      sender: 'Pico',
      sender_name: 'Pico',
      content: reply,
      created_at: answeredAt,
    },
  ],
  next_cursor: null,
};

const limitFault = [{ path: 'limit', message: 'must be an integer from 1 to 200; got "500"' }];

export const conversationExamples: Record<string, OperationExamples> = {
  chat: {
    requests: {
      first: { summary: 'A new conversation', value: first },
      follow_up: { summary: 'Go on with a conversation', value: followUp },
      stream: { summary: 'As server-sent events', value: streamed },
      limits: { summary: 'With thinking, and limits of the run', value: limited },
      mcp_server: {
        summary: 'With an MCP server for this run',
        value: {
          message: 'Which tickets are open?',
          mcp_servers: {
            tickets: {
              type: 'http',
              url: 'https://mcp.example.com/mcp',
              headers: { Authorization: 'Bearer mcp-token' },
            },
          },
        },
      },
    },
    responses: {
      200: {
        success: { summary: 'The answer', value: answer },
        outbound: {
          summary: 'With a message that was queued for the conversation',
          value: { ...answer, outbound_messages: [outbound] },
        },
        timeout: { summary: 'The time limit was reached', value: timedOut },
        error: { summary: 'The run failed', value: failed },
      },
    },
    stream,
    invalid: {
      body: { message: ' ', max_execution_ms: '5m' },
      errors: [
        { path: 'message', message: 'must not be blank; got " "' },
        { path: 'max_execution_ms', message: 'must be a number; got "5m"' },
      ],
    },
    about: 'conversation',
  },
  listConversations: {
    responses: { 200: { page: { summary: 'The only page', value: conversations } } },
    invalid: { query: 'limit=500', errors: limitFault },
  },
  getConversation: {
    responses: { 200: { idle: { summary: 'No run is active', value: conversation } } },
    invalid: { query: 'verbose=1', errors: unknownField('verbose') },
    about: 'conversation',
  },
  listMessages: {
    responses: { 200: { page: { summary: 'The only page', value: messages } } },
    invalid: { query: 'limit=500', errors: limitFault },
    about: 'conversation',
  },
  deleteConversation: {
    responses: {},
    invalid: { query: 'force=true', errors: unknownField('force') },
    about: 'conversation',
  },
  sendMessage: {
    requests: { message: { summary: 'A message', value: { text: outbound.text, sender: 'deployer' } } },
    responses: { 201: { queued: { summary: 'It waits for the next answer', value: outbound } } },
    invalid: {
      body: { text: ' ' },
      errors: [{ path: 'text', message: 'must not be blank, nor all of it an <internal> block' }],
    },
    about: 'conversation',
  },
};
