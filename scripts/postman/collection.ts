/**
 * docs/api/postman_collection.json, in Postman's format 2.1. Ids are made of names, so that the same API gives the same file.
 */

import { createHash } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { OperationExamples } from '../../src/http/examples/example.ts';
import type { AnyRouteDefinition } from '../../src/http/route.ts';
import { always } from './scripts.ts';
import { type Folder, folders, type Step } from './steps.ts';

type Api = { routes: AnyRouteDefinition[]; examples: Record<string, OperationExamples> };

const description = `Set the variables \`base_url\` and, where the server has an API_TOKEN, \`api_token\`. Then send the requests of a folder one
after another, or run the whole collection: every answer is looked at. With newman:

    newman run postman_collection.json --env-var base_url=http://127.0.0.1:9000 --env-var api_token=…

The agent really works: with a model API that costs money, so does a run.`;

/** Throws when there is an operation without a request, or a request without its operation. */
export function makeCollection(api: Api): object {
  const used = new Set(folders.flatMap(({ steps }) => steps.map(({ operationId }) => operationId)));
  const missing = api.routes.filter(({ operationId }) => !used.has(operationId));
  if (missing.length > 0)
    throw new Error(`no request in the collection for ${missing.map(({ operationId }) => operationId).join(', ')}`);
  const shown = new Set<string>();
  return {
    info: {
      _postman_id: idOf('collection'),
      name: 'PicoClaw',
      description,
      schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
    },
    auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{api_token}}', type: 'string' }] },
    variable: [
      { key: 'base_url', value: 'http://127.0.0.1:9000', description: 'Where the server is.' },
      { key: 'api_token', value: '', description: 'One of API_TOKEN; empty for a server without.' },
      { key: 'conversation_id', value: '', description: 'Set by "Ask something".' },
      { key: 'task_id', value: '', description: 'Set by "Make a task".' },
      { key: 'allow_stop', value: 'false', description: '`true`: "Stop the server" does.' },
    ],
    event: [script('test', always)],
    item: folders.map((folder) => toFolder(folder, api, shown)),
  };
}

function toFolder({ name, description, steps }: Folder, api: Api, shown: Set<string>) {
  return { id: idOf(name), name, description, item: steps.map((step) => toItem(step, { api, folder: name, shown })) };
}

/** `shown`: operations whose example answers are in the collection by now. */
function toItem(step: Step, { api, folder, shown }: { api: Api; folder: string; shown: Set<string> }) {
  const definition = api.routes.find(({ operationId }) => operationId === step.operationId);
  const examples = api.examples[step.operationId];
  if (definition === undefined || examples === undefined) throw new Error(`no operation ${step.operationId}`);
  const isFirst = !shown.has(step.operationId);
  shown.add(step.operationId);
  const request = toRequest(step, definition);
  return {
    id: idOf(`${folder}/${step.name}`),
    name: step.name,
    request: { ...request, description: `${definition.summary}. ${definition.description}` },
    response: isFirst ? toResponses(examples, request, step.operationId) : [],
    event: [...(step.before ? [script('prerequest', step.before)] : []), script('test', step.tests)],
  };
}

function toRequest(step: Step, { method, path, query, open }: AnyRouteDefinition) {
  const segments = path
    .slice(1)
    .replaceAll(/\{(\w+)\}/g, ':$1')
    .split('/');
  // Switched off: there for whoever wants the next page.
  const parameters = Object.keys(query.shape).map((key) => ({ key, value: '', disabled: true }));
  return {
    method: method.toUpperCase(),
    ...(open ? { auth: { type: 'noauth' } } : {}),
    header: step.body ? [{ key: 'Content-Type', value: 'application/json' }] : [],
    ...(step.body
      ? { body: { mode: 'raw', raw: JSON.stringify(step.body, null, 2), options: { raw: { language: 'json' } } } }
      : {}),
    url: {
      raw: `{{base_url}}/${segments.join('/')}`,
      host: ['{{base_url}}'],
      path: segments,
      ...(parameters.length > 0 ? { query: parameters } : {}),
      ...(step.id ? { variable: [{ key: 'id', value: step.id }] } : {}),
    },
  };
}

function toResponses({ responses }: OperationExamples, originalRequest: object, operationId: string) {
  return Object.entries(responses).flatMap(([status, examples]) =>
    Object.entries(examples).map(([name, { summary, value }]) => ({
      id: idOf(`${operationId}/${status}/${name}`),
      name: summary,
      originalRequest,
      status: STATUS_CODES[status],
      code: Number(status),
      _postman_previewlanguage: 'json',
      header: [{ key: 'Content-Type', value: 'application/json' }],
      body: JSON.stringify(value, null, 2),
    })),
  );
}

function script(listen: 'test' | 'prerequest', exec: string[]) {
  return { listen, script: { type: 'text/javascript', exec } };
}

/** In the form of a UUID, which Postman wants. */
function idOf(name: string): string {
  const hex = createHash('sha256').update(`picoclaw/${name}`).digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-5$3-8$4-$5');
}
