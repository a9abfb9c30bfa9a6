/** service.yaml as `envsubst` leaves it, with a value for each name. */

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const variable = z.union([
  z.strictObject({ name: z.string(), value: z.string() }),
  z.strictObject({
    name: z.string(),
    valueFrom: z.strictObject({ secretKeyRef: z.strictObject({ name: z.string(), key: z.string() }) }),
  }),
]);

const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string(), port: z.int() }),
  periodSeconds: z.int(),
  timeoutSeconds: z.int(),
  failureThreshold: z.int(),
});

const service = z.looseObject({
  metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }),
  spec: z.looseObject({
    template: z.looseObject({
      metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        containerConcurrency: z.int(),
        timeoutSeconds: z.int(),
        containers: z.tuple([
          z.looseObject({
            env: z.array(variable),
            volumeMounts: z.tuple([z.strictObject({ name: z.string(), mountPath: z.string() })]),
            startupProbe: probe,
            livenessProbe: probe,
          }),
        ]),
        volumes: z.tuple([
          z.strictObject({
            name: z.string(),
            nfs: z.strictObject({ server: z.string(), path: z.string(), readOnly: z.boolean() }),
          }),
        ]),
      }),
    }),
  }),
});

const text = readFileSync(new URL('service.yaml', import.meta.url), 'utf8');

/** The names that are to be filled in. */
export const placeholders = [...new Set([...text.matchAll(/^[^#]*?\$\{(\w+)\}/gm)].map((match) => match[1] ?? ''))];

export function readService(): { document: unknown; service: z.infer<typeof service> } {
  const document: unknown = parse(
    text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => name.toLowerCase().replaceAll('_', '-')),
  );
  return { document, service: service.parse(document) };
}
