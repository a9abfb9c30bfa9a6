/** The parts of the OpenAPI document that every route shares: headers, security, and the problems that it may answer. */

import { z } from '@hono/zod-openapi';
import { catalogue, type ProblemCode } from '../domain/problem.ts';
import type { OperationExamples } from './examples/example.ts';
import { exampleProblem } from './examples/problems.ts';

export const tokenSecurity: Record<string, string[]>[] = [{ bearer: [] }, { apiKey: [] }];

export const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer', description: 'One of the tokens of API_TOKEN.' },
  apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The same tokens, under another header.' },
} as const;

const text = { type: 'string' } as const;
const seconds = { type: 'integer', minimum: 1 } as const;

/** The components that `headersOf` refers to. */
export const headerComponents = {
  'X-Request-ID': {
    description: "The caller's X-Request-ID if it was 1 to 128 visible ASCII characters, else `req-<uuid>`.",
    required: true,
    schema: text,
    example: 'req-7b0c6a1e-6a57-4f0e-9d0b-1f0c8f1f8f55',
  },
  'X-Build-Version': { description: 'APP_VERSION of the server.', required: true, schema: text, example: '2.0.0' },
  'X-Build-Commit': { description: 'BUILD_COMMIT of the server.', required: true, schema: text, example: '1f2e3d4' },
  'Server-Timing': {
    description:
      'Where the time went, in milliseconds: `hydrate` (the volume was taken over first), `sync` (until durable), `agent`, `total`.',
    required: true,
    schema: text,
    example: 'sync;dur=3.1, agent;dur=4204.0, total;dur=4210.3',
  },
  'WWW-Authenticate': {
    description: 'The scheme that would do.',
    required: true,
    schema: text,
    example: 'Bearer realm="picoclaw"',
  },
  'Retry-After': {
    description: 'Seconds, after which the same request may succeed.',
    required: true,
    schema: seconds,
    example: 5,
  },
  'Retry-After-Busy': {
    description: 'Retry-After, in seconds, where it is busy; not where waiting would not help.',
    schema: seconds,
    example: 1,
  },
  'Stream-Cache-Control': {
    description: 'Of a stream: no proxy may keep or compress it.',
    schema: text,
    example: 'no-cache, no-transform',
  },
  'Stream-X-Accel-Buffering': { description: 'Of a stream: nginx may not hold it back.', schema: text, example: 'no' },
} as const;

type HeaderRefs = Record<string, { $ref: string }>;

/** What a response has of headers, by its status. `problemCodes`: those that it is an answer for. */
export function headersOf(status: number, input: { problemCodes?: ProblemCode[]; streams?: boolean } = {}): HeaderRefs {
  const busy = input.problemCodes?.some((code) => catalogue[code].retryable) ?? false;
  return {
    'X-Request-ID': headerRef('X-Request-ID'),
    'X-Build-Version': headerRef('X-Build-Version'),
    'X-Build-Commit': headerRef('X-Build-Commit'),
    'Server-Timing': headerRef('Server-Timing'),
    ...(status === 401 ? { 'WWW-Authenticate': headerRef('WWW-Authenticate') } : {}),
    ...(status === 503 ? { 'Retry-After': headerRef('Retry-After') } : {}),
    ...(status === 409 && busy ? { 'Retry-After': headerRef('Retry-After-Busy') } : {}),
    ...(input.streams
      ? {
          'Cache-Control': headerRef('Stream-Cache-Control'),
          'X-Accel-Buffering': headerRef('Stream-X-Accel-Buffering'),
        }
      : {}),
  };
}

function headerRef(name: keyof typeof headerComponents) {
  return { $ref: `#/components/headers/${name}` };
}

/** Every route takes it. */
export const requestHeaders = z.object({
  'X-Request-ID': z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional()
    .openapi({
      description: 'Names the request in the response and in the log; anything else is replaced.',
      example: 'checkout-4711',
    }),
});

const codes = Object.keys(catalogue).sort();

export const problemSchema = z
  .strictObject({
    type: z.string().openapi({ description: '`urn:picoclaw:problem:<code>`' }),
    title: z.string().openapi({ description: 'The same for every problem of this code.' }),
    status: z.int().openapi({ description: 'The HTTP status; within a run, the status of its cause.' }),
    detail: z.string().openapi({ description: 'What went wrong this time.' }),
    code: z.string().openapi('ProblemCode', { enum: codes, description: 'For programs to decide by.' }),
    retryable: z.boolean().openapi({ description: 'Whether the same request may succeed later.' }),
    error: z.string().openapi({ description: '= `detail`, for clients of PicoClaw 1.x.' }),
    errors: z
      .array(z.strictObject({ path: z.string(), message: z.string() }).openapi('FieldFault'))
      .optional()
      .openapi({
        description: 'Each field at fault, for a request that is not valid. An empty path is the whole body.',
      }),
    conversation_id: z.string().optional(),
    task_id: z.string().optional(),
    owner: z.string().optional().openapi({ description: 'The instance that has the volume, where it is known.' }),
    request_id: z.string().openapi({ description: '= the header X-Request-ID' }),
  })
  .openapi('Problem', { description: 'RFC 9457 problem details.' });

/** The error responses of a route, by status, each with an example for every code. */
export function problemResponses(problemCodes: ProblemCode[], examples: OperationExamples) {
  const byStatus = Object.groupBy(new Set(problemCodes), (code) => catalogue[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${catalogue[code].title}.`).join(' '),
        headers: headersOf(Number(status), { problemCodes: group }),
        content: {
          'application/problem+json': {
            schema: problemSchema,
            examples: Object.fromEntries(
              group.map((code) => [code, { summary: catalogue[code].title, value: exampleProblem(code, examples) }]),
            ),
          },
        },
      },
    ]),
  );
}
