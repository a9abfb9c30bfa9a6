/** What can be chosen with `-c name=value`, checked before anything is made of it. */

import type { Node } from 'constructs';

export type Parameters = {
  /** An image in ECR, in the account and region of the stack: `<repository>:<tag>` or `<repository>@sha256:<digest>`; null: built from the Dockerfile. */
  image: { repository: string; version: string } | null;
  architecture: 'arm64' | 'x86_64';
  memoryMb: number;
  /** Of the function. A run may take `roomSeconds` less. */
  timeoutSeconds: number;
  /** Size of /tmp: the runtime database and the temporary files of the agent. */
  temporaryMb: number;
  /** Between two calls of POST /task/check; 0: nobody calls it. */
  checkMinutes: number;
  /** The name of the secret with the key of the model API, which is there before the stack is. */
  apiKeySecret: string;
  /** Pins a version of that secret, so that a new key is a change of the template; null: the one that is current at the deployment. */
  apiKeyVersion: string | null;
};

/**
 * Between the end of the longest run and the function's timeout: for a cold start with the copy of the database, and for what a run
 * still writes after it was ended.
 */
export const roomSeconds = 60;

export function readParameters(node: Node): Parameters {
  return {
    image: readImage(text(node, 'image', null)),
    architecture: choice(node, 'architecture', ['arm64', 'x86_64']),
    // The most that a new account may have is 3008.
    memoryMb: integer(node, 'memoryMb', { fallback: 2048, min: 1024, max: 10_240 }),
    // 900 is the most of Lambda, and of a streamed answer through API Gateway.
    timeoutSeconds: integer(node, 'timeoutSeconds', { fallback: 900, min: roomSeconds + 60, max: 900 }),
    temporaryMb: integer(node, 'temporaryMb', { fallback: 2048, min: 512, max: 10_240 }),
    checkMinutes: integer(node, 'checkMinutes', { fallback: 1, min: 0, max: 1440 }),
    apiKeySecret: text(node, 'apiKeySecret', 'picoclaw/anthropic-api-key') ?? '',
    apiKeyVersion: text(node, 'apiKeyVersion', null),
  };
}

/** Lambda starts images of ECR alone, in the function's own region. */
function readImage(reference: string | null): Parameters['image'] {
  if (reference === null) return null;
  const [, repository, version] =
    /^([a-z0-9][a-z0-9._/-]*)(?::(\w[\w.-]{0,127})|@(sha256:[0-9a-f]{64}))$/
      .exec(reference)
      ?.filter((part) => part !== undefined) ?? [];
  if (repository === undefined || version === undefined)
    throw new Error(
      `image: must be <repository>:<tag> or <repository>@sha256:<digest>, of ECR in the account and region of the stack; is ${JSON.stringify(reference)}`,
    );
  return { repository, version };
}

function text(node: Node, name: string, fallback: string | null): string | null {
  const value: unknown = node.tryGetContext(name);
  if (value === undefined || value === '') return fallback;
  return String(value);
}

function choice<T extends string>(node: Node, name: string, values: readonly [T, ...T[]]): T {
  const value = text(node, name, values[0]);
  const found = values.find((one) => one === value);
  if (found === undefined) throw new Error(`${name}: must be one of ${values.join(', ')}; is ${JSON.stringify(value)}`);
  return found;
}

function integer(
  node: Node,
  name: string,
  { fallback, min, max }: { fallback: number; min: number; max: number },
): number {
  const value = text(node, name, String(fallback));
  const number = /^\d{1,6}$/.test(value ?? '') ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max))
    throw new Error(`${name}: must be an integer from ${min} to ${max}; is ${JSON.stringify(value)}`);
  return number;
}
