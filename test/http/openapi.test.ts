import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { taskIdPattern } from '../../src/domain/task.ts';
import { startApp } from '../support/http-app.ts';

const operation = z.looseObject({
  operationId: z.string(),
  summary: z.string(),
  description: z.string(),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(z.looseObject({ name: z.string(), in: z.string(), required: z.boolean().optional() })),
  requestBody: z.looseObject({ required: z.boolean() }).optional(),
  responses: z.record(
    z.string(),
    z.looseObject({
      description: z.string(),
      headers: z.record(z.string(), z.looseObject({})),
      content: z.record(z.string(), z.looseObject({ schema: z.looseObject({}) })).optional(),
    }),
  ),
});
const documentSchema = z.looseObject({
  openapi: z.literal('3.1.0'),
  info: z.looseObject({ version: z.string() }),
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({
    schemas: z.record(z.string(), z.looseObject({})),
    securitySchemes: z.record(z.string(), z.looseObject({ type: z.string() })),
  }),
});

async function readDocument() {
  await using app = await startApp();
  return documentSchema.parse((await app.send('/openapi.json')).body);
}

const operations = {
  'post /chat': '200 400 401 403 404 409 413 415 500 503',
  'get /chat': '200 400 401 500 503',
  'get /chat/{id}': '200 400 401 404 500 503',
  'get /chat/{id}/messages': '200 400 401 404 500 503',
  'delete /chat/{id}': '204 400 401 404 409 500 503',
  'post /chat/{id}/outbound': '201 400 401 404 413 415 500 503',
  'post /task': '201 400 401 404 409 413 415 500 503',
  'get /tasks': '200 400 401 500 503',
  'get /task/{id}': '200 400 401 404 500 503',
  'put /task/{id}': '200 400 401 404 413 415 500 503',
  'delete /task/{id}': '204 400 401 404 500 503',
  'get /task/{id}/runs': '200 400 401 404 500 503',
  'post /task/trigger': '200 400 401 404 409 413 415 500 503',
  'post /task/check': '200 400 401 413 415 500 503',
  'get /admin/skills': '200 400 401 500',
  'post /admin/reload-skills': '200 400 401 413 415 500 503',
  'get /health': '200 400 500 503',
  'post /control/stop': '200 400 401 413 415 500',
  'get /openapi.json': '200 400 500',
};

describe('GET /openapi.json', () => {
  it('has every route with every status', async () => {
    const { paths } = await readDocument();
    const found = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { responses }]) => [`${method} ${path}`, Object.keys(responses).join(' ')]),
    );
    expect(Object.fromEntries(found)).toEqual(operations);
  });

  it('has a path that answers for each of its operations, and no other path answers', async () => {
    await using app = await startApp();
    for (const [path, item] of Object.entries((await readDocument()).paths)) {
      const response = await app.fetch(path.replace('{id}', 'x'), { method: 'PATCH' });
      const allow = (response.headers.get('allow') ?? '').toLowerCase().split(', ');
      expect(new Set(allow.filter((method) => method !== 'head'))).toEqual(new Set(Object.keys(item)));
    }
  });

  it('tells who needs a token', async () => {
    const { paths, components } = await readDocument();
    expect(components.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
    });
    for (const [path, item] of Object.entries(paths))
      for (const { security } of Object.values(item))
        expect(security).toEqual(['/health', '/openapi.json'].includes(path) ? [] : [{ bearer: [] }, { apiKey: [] }]);
  });

  it('has the problem as the schema of every error, and the headers of every response', async () => {
    const { paths } = await readDocument();
    for (const item of Object.values(paths))
      for (const { responses } of Object.values(item))
        for (const [status, { headers, content }] of Object.entries(responses)) {
          expect(Object.keys(headers)).toEqual(
            expect.arrayContaining(['X-Request-ID', 'X-Build-Version', 'X-Build-Commit']),
          );
          if (Number(status) < 400 || content?.['application/json']) continue;
          expect(content?.['application/problem+json']?.schema).toEqual({ $ref: '#/components/schemas/Problem' });
          if (status === '503') expect(headers).toHaveProperty('Retry-After');
        }
  });

  it('has the parameters of each route, and X-Request-ID everywhere', async () => {
    const { paths } = await readDocument();
    const names = (path: string, method: string) =>
      (paths[path]?.[method]?.parameters ?? []).map((parameter) => `${parameter.in} ${parameter.name}`);
    expect(names('/chat/{id}/messages', 'get').sort()).toEqual([
      'header X-Request-ID',
      'path id',
      'query cursor',
      'query limit',
    ]);
    expect(names('/health', 'get')).toEqual(['header X-Request-ID']);
  });

  it('has every field of a request and of an answer, closed to others', async () => {
    const { components, paths } = await readDocument();
    expect(paths['/chat']?.post?.requestBody?.required).toBe(true);
    expect(paths['/control/stop']?.post?.requestBody?.required).toBe(false);
    expect(components.schemas.ChatRequest).toMatchObject({
      type: 'object',
      additionalProperties: false,
      required: ['message'],
      properties: {
        max_execution_ms: { type: 'integer', minimum: 1 },
        max_thinking_tokens: { type: 'integer', minimum: 1024 },
        max_budget_usd: { type: 'number', exclusiveMinimum: 0 },
        effort: { enum: ['low', 'medium', 'high', 'xhigh', 'max'] },
        mcp_servers: {
          type: 'object',
          additionalProperties: {
            anyOf: [{ $ref: '#/components/schemas/HttpMcpServer' }, { $ref: '#/components/schemas/StdioMcpServer' }],
          },
        },
      },
    });
    expect(components.schemas.ChatResponse).toMatchObject({ additionalProperties: false });
  });

  it('describes what a task must be, though its rules are checked elsewhere', async () => {
    const { components, paths } = await readDocument();
    expect(components.schemas.CreateTaskRequest).toMatchObject({
      additionalProperties: false,
      required: ['prompt', 'schedule_type', 'schedule_value'],
      properties: {
        id: { pattern: taskIdPattern.source, description: expect.stringMatching(/`check` or `trigger`/) },
        schedule_type: { enum: ['cron', 'interval', 'once'] },
        context_mode: { enum: ['isolated', 'group'], default: 'isolated' },
        max_execution_ms: { type: 'integer', minimum: 1 },
        max_attempts: { type: 'integer', minimum: 1, maximum: 100, default: 3 },
      },
    });
    const update = z.looseObject({ properties: z.record(z.string(), z.looseObject({})) });
    const { properties } = update.parse(components.schemas.UpdateTaskRequest);
    for (const [name, property] of Object.entries(properties)) {
      expect(property).not.toHaveProperty('default');
      const takesNull = ['conversation_id', 'timezone', 'model', 'max_execution_ms'].includes(name);
      expect([name, Array.isArray(property.type) && property.type.includes('null')]).toEqual([name, takesNull]);
    }
    expect(paths['/task/check']?.post?.requestBody?.required).toBe(false);
    expect(paths['/task']?.post?.requestBody?.required).toBe(true);
  });

  it('describes the stream beside the JSON answer', async () => {
    const { paths } = await readDocument();
    const answer = paths['/chat']?.post?.responses['200'];
    expect(Object.keys(answer?.content ?? {})).toEqual(['application/json', 'text/event-stream']);
    for (const event of ['start', 'thinking', 'chunk', 'rewind', 'tool_use', 'outbound', 'done', 'error'])
      expect(paths['/chat']?.post?.description).toContain(`\`${event}\``);
  });

  it('refers to nothing that it does not have', async () => {
    const document = await readDocument();
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty([String(name)]);
  });
});
