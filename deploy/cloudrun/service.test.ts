/**
 * service.yaml against the schema of Knative's Service, which is what Cloud Run takes, and its annotations against Cloud Run's reference
 * (docs.cloud.google.com/run/docs/reference/yaml/v1): Knative lets any pass.
 */

import { readFileSync } from 'node:fs';
import { Service } from '@kubernetes-models/knative/serving.knative.dev/v1/Service';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { placeholders, readService } from './service.ts';

const { document, service } = readService();
const { template } = service.spec;
const [container] = template.spec.containers;

const knative = (value: unknown) =>
  new Service(z.custom<ConstructorParameters<typeof Service>[0]>().parse(value)).validate();

describe('service.yaml', () => {
  it('is a Service of Knative', () => {
    expect(() => knative(document)).not.toThrow();
    expect(() =>
      knative({ ...z.looseObject({}).parse(document), spec: { template: { spec: { containers: 1 } } } }),
    ).toThrow();
  });

  it('has only annotations that Cloud Run knows, with values that they may have', () => {
    const flag = z.enum(['true', 'false']);
    const count = z.string().regex(/^\d+$/);
    z.strictObject({
      'run.googleapis.com/description': z.string(),
      'run.googleapis.com/ingress': z.enum(['all', 'internal', 'internal-and-cloud-load-balancing']),
      'run.googleapis.com/invoker-iam-disabled': flag,
      'run.googleapis.com/maxScale': count,
    }).parse(service.metadata.annotations);
    z.strictObject({
      'run.googleapis.com/execution-environment': z.enum(['gen1', 'gen2']),
      'autoscaling.knative.dev/minScale': count,
      'autoscaling.knative.dev/maxScale': count,
      'run.googleapis.com/cpu-throttling': flag,
      'run.googleapis.com/startup-cpu-boost': flag,
      'run.googleapis.com/network-interfaces': z
        .string()
        .transform((text) =>
          z.array(z.strictObject({ network: z.string(), subnetwork: z.string() })).parse(JSON.parse(text)),
        ),
      'run.googleapis.com/vpc-access-egress': z.enum(['all-traffic', 'private-ranges-only']),
    }).parse(template.metadata.annotations);
  });

  it('runs one instance of the second generation, on an NFS volume that it may write', () => {
    expect(service.metadata.annotations['run.googleapis.com/maxScale']).toBe('1');
    expect(template.metadata.annotations).toMatchObject({
      'autoscaling.knative.dev/maxScale': '1',
      'run.googleapis.com/execution-environment': 'gen2',
    });
    expect(template.spec.volumes[0].name).toBe(container.volumeMounts[0].name);
    expect(template.spec.volumes[0].nfs.readOnly).toBe(false);
  });

  it('probes within the limits of Cloud Run: a start takes 240 s at most, and no probe outlasts its period', () => {
    const { startupProbe, livenessProbe } = container;
    expect(startupProbe.periodSeconds * startupProbe.failureThreshold).toBeLessThanOrEqual(240);
    for (const probe of [startupProbe, livenessProbe])
      expect(probe.timeoutSeconds).toBeLessThanOrEqual(probe.periodSeconds);
  });

  it('takes its secrets from Secret Manager, and asks for no more than Cloud Run and Cloud Scheduler allow', () => {
    const fromSecrets = container.env.filter((one) => 'valueFrom' in one).map(({ name }) => name);
    expect(fromSecrets).toEqual(['ANTHROPIC_API_KEY', 'API_TOKEN']);
    expect(template.spec.timeoutSeconds).toBeLessThanOrEqual(1800);
  });

  it('asks for the names that the README sets', () => {
    const readme = readFileSync(new URL('README.md', import.meta.url), 'utf8');
    for (const name of placeholders) expect(readme).toMatch(new RegExp(`export .*\\b${name}=`));
    expect(placeholders).not.toEqual([]);
  });
});
