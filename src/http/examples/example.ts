/**
 * What the examples of one operation are. They are in the OpenAPI document only, so nothing that serves requests imports
 * them; `test/http/description.test.ts` holds each against its schema, and sends those that must be refused.
 */

export type Example = { summary: string; value: unknown };

export type OperationExamples = {
  /** Bodies, by name. */
  requests?: Record<string, Example>;
  /** Bodies of JSON, by status and name. */
  responses: Record<number, Record<string, Example>>;
  /** The answer that is streamed. */
  stream?: string;
  /** A request that is refused, and what the 400 says. */
  invalid: { query?: string; body?: unknown; errors: { path: string; message: string }[] };
  /** The texts of `not_found` and the like differ by what the operation is about. */
  about?: 'conversation' | 'task';
};

export const conversationId = 'conv-0f6a1c9e-7f3d-4a62-9a53-0d0b1a4a7c11';
export const userMessageId = 'msg-5f2b7f0e-9a43-4f0d-8f53-2a1b7c3d4e5f';
export const replyId = 'msg-9c1d2e3f-4a5b-4c6d-8e7f-0a1b2c3d4e5f';
export const runId = 'run-2d3e4f5a-6b7c-4d8e-9f0a-1b2c3d4e5f6a';
export const sessionId = 'b3c4d5e6-f7a8-4b9c-8d0e-1f2a3b4c5d6e';
export const model = 'claude-sonnet-5';
export const taskId = 'umbrella';

export const unknownField = (name: string) => [{ path: name, message: 'is not a known field' }];
