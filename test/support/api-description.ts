/**
 * Holds what goes over the wire against the OpenAPI document: the status and the content type that it has for an operation, its
 * headers, and every body by its JSON Schema (2020-12). Nothing of our own schemas is asked: a client has only the document.
 */

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'vitest';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { makeOpenApiDocument } from '../../src/http/openapi.ts';
import { routes } from '../../src/http/routes/openapi.ts';
import type { Frame } from './frames.ts';

const reference = z.looseObject({ $ref: z.string() });
const example = z.looseObject({ value: z.unknown() });
const media = z.looseObject({ examples: z.record(z.string(), example).optional(), example: z.unknown().optional() });
const response = z.looseObject({
  headers: z.record(z.string(), reference),
  content: z.record(z.string(), media).optional(),
});
const operation = z.looseObject({
  operationId: z.string(),
  requestBody: z.looseObject({ content: z.record(z.string(), media) }).optional(),
  responses: z.record(z.string(), response),
});
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ headers: z.record(z.string(), z.looseObject({ required: z.boolean().optional() })) }),
});

/** As the server would send it. */
export const description = documentSchema.parse(
  JSON.parse(JSON.stringify(makeOpenApiDocument(routes, manifest.version))),
);

export type Operation = { method: string; path: string };

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(description, 'api');

/** `body`: as it was parsed; undefined where there is none to look at. */
export function checkResponse(of: Operation, answer: { status: number; headers: Headers; body: unknown }): void {
  const { status, headers, body } = answer;
  const name = `${of.method} ${of.path}`;
  const described = description.paths[of.path]?.[of.method]?.responses[status];
  if (described === undefined) throw new Error(`${name} answered ${status}, which is not in its description`);
  checkHeaders(name, { status, headers, described: described.headers });
  const type = headers.get('content-type')?.split(';')[0] ?? null;
  expect([...Object.keys(described.content ?? {}), null], `${name}: the content type of its ${status}`).toContain(type);
  if (described.content !== undefined) expect(type, `${name}: the content type of its ${status}`).not.toBeNull();
  if (type === null || body === undefined) return;
  expectValid(['paths', of.path, of.method, 'responses', String(status), 'content', type, 'schema'], body);
}

/** A body that was accepted. */
export function checkRequest(of: Operation, body: unknown): void {
  expectValid(['paths', of.path, of.method, 'requestBody', 'content', 'application/json', 'schema'], body);
}

/** Of a path that the document does not have, or of a method that its path does not have. */
export function checkProblem(body: unknown): void {
  expectValid(['components', 'schemas', 'Problem'], body);
}

export async function* checkFrames(frames: AsyncGenerator<Frame, void>): AsyncGenerator<Frame, void> {
  for await (const frame of frames) {
    expectValid(['components', 'schemas', 'ChatEvent'], frame);
    yield frame;
  }
}

/** `place`: the path to the schema in the document. */
export function expectValid(place: string[], value: unknown): void {
  const validate = validatorOf(place);
  if (validate(value)) return;
  const faults = (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
  throw new Error(`not as described (${place.join(' ')}): ${faults.join('; ')}\n${JSON.stringify(value, null, 2)}`);
}

function validatorOf(place: string[]): ValidateFunction {
  const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
  const found = ajv.getSchema(`api#/${pointer}`);
  if (found === undefined) throw new Error(`the document has no schema at ${place.join(' ')}`);
  return found;
}

type Described = { status: number; headers: Headers; described: Record<string, { $ref: string }> };

/** Each that must be there is, and those that tell a client what to do are described. */
function checkHeaders(name: string, { status, headers, described }: Described): void {
  for (const [header, { $ref }] of Object.entries(described))
    if (description.components.headers[$ref.split('/').at(-1) ?? '']?.required)
      expect(headers.get(header), `${name}: ${header} of its ${status}`).not.toBeNull();
  for (const header of ['Retry-After', 'WWW-Authenticate', 'Allow', 'Location'])
    if (headers.has(header)) expect(Object.keys(described), `${name}: headers of its ${status}`).toContain(header);
}
