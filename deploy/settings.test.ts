/** Every environment variable of every recipe is a setting of the server, or one of the few that others read, and the server starts with it. */

import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { settings } from '../src/config/settings.ts';
import { loadConfig, warnings } from '../src/config.ts';
import { readRecipe } from './alibaba/recipe.ts';
import { PicoClawStack } from './aws/stack.ts';
import { flat } from './aws/template.ts';
import { readService } from './cloudrun/service.ts';

type Recipe = { environment: Record<string, string>; timeoutSeconds: number; mount: string };

/** Read by other programs than the server. */
const foreign = new Set(['HOME']);

/** In place of what the platform fills in. */
const secret = 'a-secret-of-more-than-16-characters';

const recipes: Record<string, () => Recipe> = {
  aws: () => {
    const stack = new PicoClawStack(
      new App({ context: { image: 'picoclaw:2.0.0' }, analyticsReporting: false }),
      'Test',
    );
    const [server] = Object.values(Template.fromStack(stack).findResources('AWS::Lambda::Function'));
    const { Environment, FileSystemConfigs, Timeout } = server?.Properties ?? {};
    const variables = Object.entries(Environment.Variables).map(([name, value]) => [
      name,
      flat(value).replaceAll(/\{\{resolve:[^}]*\}\}/g, secret),
    ]);
    return {
      environment: Object.fromEntries(variables),
      timeoutSeconds: Timeout,
      mount: FileSystemConfigs[0].LocalMountPath,
    };
  },
  alibaba: () => {
    const { environmentVariables, timeout, nasConfig } = readRecipe().resources.server.props;
    const variables = Object.entries(environmentVariables).map(([name, value]) => [
      name,
      value.replaceAll(/\$\{env\([^}]*\)\}/g, secret),
    ]);
    return {
      environment: Object.fromEntries(variables),
      timeoutSeconds: timeout,
      mount: nasConfig.mountPoints[0]?.mountDir ?? '',
    };
  },
  cloudrun: () => {
    const { containers, timeoutSeconds } = readService().service.spec.template.spec;
    const variables = containers[0].env.map((one) => [one.name, 'value' in one ? one.value : secret]);
    return {
      environment: Object.fromEntries(variables),
      timeoutSeconds,
      mount: containers[0].volumeMounts[0].mountPath,
    };
  },
};

describe.each(Object.entries(recipes))('the recipe for %s', (_name, read) => {
  const { environment, timeoutSeconds, mount } = read();
  const { config, faults } = loadConfig(environment, {
    isRoot: false,
    isTerminal: false,
    homeDir: environment.HOME ?? null,
  });

  it('sets what the server knows', () => {
    const known = new Set(Object.values(settings).map(({ variable }) => variable));
    expect(Object.keys(environment).filter((name) => !known.has(name) && !foreign.has(name))).toEqual([]);
    // Platforms say it themselves, and the adapter of Lambda takes HOST for its own.
    expect(environment).not.toHaveProperty('PORT');
    expect(environment).not.toHaveProperty('HOST');
  });

  it('is an environment that the server starts with, and has nothing to warn of', () => {
    expect(faults).toEqual([]);
    expect(warnings(config)).toEqual([]);
    expect(config.apiTokens.length).toBeGreaterThan(0);
  });

  it('keeps both folders on the volume and the runtime database off it', () => {
    for (const folder of [config.storeDir, config.memoryDir]) expect(folder.startsWith(`${mount}/`)).toBe(true);
    expect(config.localDbPath.startsWith('/tmp/')).toBe(true);
  });

  it('ends a run a minute before the platform ends the request', () => {
    expect(config.maxExecutionMs).toBe((timeoutSeconds - 60) * 1000);
  });
});
