/**
 * What component fc3 takes, of what the recipe uses: the members and limits of the component's own schema (src/schema.json of
 * devsapp/fc3), which is in no registry of packages. Anything else is refused: a misspelt member would be ignored by the platform.
 */

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const variables = z.record(z.string(), z.string());

const trigger = z.discriminatedUnion('triggerType', [
  z.strictObject({
    triggerName: z.string(),
    triggerType: z.literal('http'),
    description: z.string().optional(),
    qualifier: z.string(),
    triggerConfig: z.strictObject({
      authType: z.enum(['anonymous', 'function']),
      methods: z.array(z.enum(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'OPTIONS'])),
    }),
  }),
  z.strictObject({
    triggerName: z.string(),
    triggerType: z.literal('timer'),
    qualifier: z.string(),
    triggerConfig: z.strictObject({ cronExpression: z.string(), enable: z.boolean() }),
  }),
]);

const common = {
  region: z.string(),
  functionName: z.string(),
  description: z.string(),
  timeout: z.int().min(1).max(86_400),
  cpu: z.number().min(0.05).max(16).multipleOf(0.05),
  memorySize: z.int().min(128).max(32_768).multipleOf(64),
  diskSize: z.literal([512, 10_240]),
  instanceConcurrency: z.int().min(1).max(100),
  concurrencyConfig: z.strictObject({ reservedConcurrency: z.int().min(0) }),
  internetAccess: z.boolean(),
  environmentVariables: variables,
  triggers: z.array(trigger),
};

const server = z.strictObject({
  ...common,
  runtime: z.literal('custom-container'),
  vpcConfig: z.strictObject({ vpcId: z.string(), vSwitchIds: z.array(z.string()), securityGroupId: z.string() }),
  nasConfig: z.strictObject({
    userId: z.int(),
    groupId: z.int(),
    mountPoints: z.array(z.strictObject({ serverAddr: z.string(), mountDir: z.string(), enableTLS: z.boolean() })),
  }),
  customContainerConfig: z.strictObject({
    image: z.string(),
    port: z.int(),
    healthCheckConfig: z.strictObject({
      httpGetUrl: z.string(),
      initialDelaySeconds: z.int(),
      periodSeconds: z.int(),
      timeoutSeconds: z.int(),
      failureThreshold: z.int(),
      successThreshold: z.int(),
    }),
  }),
});

const check = z.strictObject({
  ...common,
  runtime: z.literal('nodejs20'),
  handler: z.string(),
  code: z.string(),
  asyncInvokeConfig: z.strictObject({
    maxAsyncRetryAttempts: z.int().min(0).max(8),
    maxAsyncEventAgeInSeconds: z.int().min(1).max(2_592_000),
  }),
});

const component = <T extends z.ZodType>(props: T) => z.strictObject({ component: z.literal('fc3'), props });

const recipe = z.strictObject({
  edition: z.literal('3.0.0'),
  name: z.string(),
  access: z.string(),
  vars: z.record(z.string(), z.unknown()),
  resources: z.strictObject({ server: component(server), check: component(check) }),
});

export const recipeText = readFileSync(new URL('s.yaml', import.meta.url), 'utf8');

/** `${env('NAME')}` is left as it is. */
export function readRecipe(): z.infer<typeof recipe> {
  return recipe.parse(parse(recipeText));
}
