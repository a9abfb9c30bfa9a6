/** The parts of the OpenAPI document that every route shares: headers, security, and the problems that it may answer. */

import { z } from '@hono/zod-openapi';
import { catalogue, Problem, type ProblemCode } from '../domain/problem.ts';

export const tokenSecurity: Record<string, string[]>[] = [{ bearer: [] }, { apiKey: [] }];

export const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer', description: 'One of the tokens of API_TOKEN.' },
  apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The same tokens, under another header.' },
} as const;

const text = { type: 'string' } as const;

export const responseHeaders = {
  'X-Request-ID': {
    description: "The caller's X-Request-ID if it was 1 to 128 visible ASCII characters, else `req-<uuid>`.",
    schema: text,
  },
  'X-Build-Version': { description: 'APP_VERSION of the server.', schema: text },
  'Server-Timing': {
    description:
      'Where the time went, in milliseconds: `hydrate` (the volume was taken over first), `sync` (until durable), `agent`, `total`.',
    schema: text,
  },
  'X-Build-Commit': { description: 'BUILD_COMMIT of the server.', schema: text },
};

/** Every route takes it. */
export const requestHeaders = z.object({
  'X-Request-ID': z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional()
    .openapi({ description: 'Names the request in the response and in the log; anything else is replaced.' }),
});

const codes = Object.keys(catalogue).sort();

export const problemSchema = z
  .strictObject({
    type: z.string().openapi({ description: '`urn:picoclaw:problem:<code>`' }),
    title: z.string().openapi({ description: 'The same for every problem of this code.' }),
    status: z.int().openapi({ description: 'The HTTP status; within a run, the status of its cause.' }),
    detail: z.string().openapi({ description: 'What went wrong this time.' }),
    code: z.string().openapi({ enum: codes, description: 'For programs to decide by.' }),
    retryable: z.boolean().openapi({ description: 'Whether the same request may succeed later.' }),
    error: z.string().openapi({ description: '= `detail`, for clients of PicoClaw 1.x.' }),
    errors: z
      .array(z.strictObject({ path: z.string(), message: z.string() }))
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
export function problemResponses(problemCodes: ProblemCode[]) {
  const byStatus = Object.groupBy(new Set(problemCodes), (code) => catalogue[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${catalogue[code].title}.`).join(' '),
        headers: { ...responseHeaders, ...extraHeaders(Number(status)) },
        content: {
          'application/problem+json': {
            schema: problemSchema,
            examples: Object.fromEntries(group.map((code) => [code, { value: exampleOf(code) }])),
          },
        },
      },
    ]),
  );
}

function exampleOf(code: ProblemCode) {
  const { title, status } = catalogue[code];
  const detail = title.charAt(0).toLowerCase() + title.slice(1);
  const errors =
    status === 400 && code === 'invalid_request'
      ? [{ path: 'message', message: 'is required: must be a string' }]
      : undefined;
  return new Problem(code, detail, errors ? { errors } : {}).toBody('req-7b0c6a1e-6a57-4f0e-9d0b-1f0c8f1f8f55');
}

type Headers = Record<string, { description: string; schema: { type: 'string' | 'integer' } }>;

function extraHeaders(status: number): Headers {
  switch (status) {
    case 401:
      return { 'WWW-Authenticate': { description: 'Bearer', schema: text } };
    case 409:
    case 429:
    case 503:
      return { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } };
    default:
      return {};
  }
}
