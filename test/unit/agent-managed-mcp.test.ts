// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what looks like a placeholder is what is tested

/** The organisation's MCP servers: what the file may say, and how its faults are told. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeServersReader, parseManagedMcp, readManagedMcp } from '../../src/agent/managed-mcp.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const env = { SEARCH_TOKEN: 's3cret', BASE: 'https://mcp.example.com', EMPTY: '' };

test('servers of each kind are read, with the type that may be left out', () => {
  expect(
    parse({
      web: { url: 'https://a.example/mcp' },
      old: { type: 'sse', url: 'http://b.example/sse', headers: { 'X-A': '1' } },
      files: { command: 'npx', args: ['-y', 'files'], env: { ROOT: '/srv' } },
      bare: { type: 'stdio', command: 'tool' },
    }),
  ).toEqual({
    servers: {
      web: { type: 'http', url: 'https://a.example/mcp' },
      old: { type: 'sse', url: 'http://b.example/sse', headers: { 'X-A': '1' } },
      files: { type: 'stdio', command: 'npx', args: ['-y', 'files'], env: { ROOT: '/srv' } },
      bare: { type: 'stdio', command: 'tool' },
    },
  });
});

test('variables stand for the server’s environment in the command, args, env, url and headers', () => {
  expect(
    parse({
      web: { url: '${BASE}/${PATH_PART:-mcp}', headers: { Authorization: 'Bearer ${SEARCH_TOKEN}' } },
      files: {
        command: '${BIN:-/usr/bin}/tool',
        args: ['--token=${SEARCH_TOKEN}', '$SEARCH_TOKEN', '${1}', '${EMPTY}', '${NONE:-}'],
        env: { TOKEN: '${SEARCH_TOKEN}', '${SEARCH_TOKEN}': 'x' },
      },
    }),
  ).toEqual({
    servers: {
      web: { type: 'http', url: 'https://mcp.example.com/mcp', headers: { Authorization: 'Bearer s3cret' } },
      files: {
        type: 'stdio',
        command: '/usr/bin/tool',
        args: ['--token=s3cret', '$SEARCH_TOKEN', '${1}', '', ''],
        env: { TOKEN: 's3cret', '${SEARCH_TOKEN}': 'x' },
      },
    },
  });
});

test('what a variable holds is not looked through for variables', () => {
  const parsed = parseManagedMcp('{"mcpServers":{"a":{"command":"${A}"}}}', { A: '${B}', B: 'b' });
  expect(parsed).toEqual({ servers: { a: { type: 'stdio', command: '${B}' } } });
});

test('no variable has the name of what every object has', () => {
  for (const name of ['constructor', 'toString', '__proto__']) {
    expect(parse({ a: { command: `\${${name}:-tool}` } })).toEqual({
      servers: { a: { type: 'stdio', command: 'tool' } },
    });
    expect(parse({ a: { command: `\${${name}}` } })).toEqual({
      faults: [expect.stringContaining(`\${${name}} is not set`)],
    });
  }
});

const file = (...lines: string[]) => ['{ "mcpServers": {', ...lines, '} }'].join('\n');

const faulty: [string, string, string[]][] = [
  ['what is not JSON', file('"a": { "url": "https://s3cret" '), ['line 3: a comma or "}" is expected']],
  ['nothing', '', ['line 1: a JSON value is expected']],
  ['no object', '[]', ['line 1: must be an object']],
  ['no servers', '{}', ['line 1, mcpServers: is required: must be an object']],
  ['more than servers', '{"mcpServers":{},\n"servers":{}}', ['line 2, servers: is not a known field']],
  ['a server given twice', file('"a": {"command":"c"},', '"a": {"command":"c"}'), ['line 3: "a" is given twice']],
  [
    'the name of our own tools',
    file('"picoclaw": { "url": "https://example.com" }'),
    ['line 2, mcpServers.picoclaw: must not be "picoclaw", which is the name of the built-in tools'],
  ],
  [
    'a name that is none',
    file('"a b": { "url": "https://example.com" }'),
    ['line 2, mcpServers.a b: must be a name of 1 to 64 letters, digits, "_" or "-"'],
  ],
  [
    'unknown members',
    file('"a": { "url": "https://example.com",', ' "timeout": 5 }'),
    ['line 3, mcpServers.a.timeout: is not a known field'],
  ],
  [
    'a URL that is none',
    file('"a": {', '"url": "s3cret" }'),
    ['line 3, mcpServers.a.url: must be an http or https URL without a user or password in it'],
  ],
  ['a server without anything', file('', '"a": {}'), ['line 3, mcpServers.a.url: is required: must be a string']],
  [
    'several faults',
    file(
      '"a": { "command": "c",',
      '"args": ["s3cret",',
      '7] },',
      '"b": { "url": "https://x",',
      '"headers": {"A": 5} }',
    ),
    ['line 4, mcpServers.a.args.1: must be a string', 'line 6, mcpServers.b.headers.A: must be a string'],
  ],
  [
    'a header with a line break, from a variable too',
    file('"a": { "url": "https://x", "headers": {', '"A": "s3cret\\n",', '"B": "${BREAK}" } }'),
    ['A', 'B'].map(
      (name, at) =>
        `line ${at + 3}, mcpServers.a.headers.${name}: must be the value of an HTTP header, without line breaks`,
    ),
  ],
  [
    'a line break in a URL, from a variable too',
    file('"a": {"url": "https://x/s3cret\\n"},', '"b": {"url": "https://${BREAK}/x"},', '"c": {"url": " https://x"}'),
    ['a', 'b', 'c'].map(
      (name, at) => `line ${at + 2}, mcpServers.${name}.url: must have no white space or control characters`,
    ),
  ],
  [
    'what no process can be started with',
    file(
      '"a": { "command": "s3cret\\u0000" },',
      '"b": { "command": " \\t" },',
      '"c": { "command": "" },',
      '"d": { "command": "c", "args": ["", "s3cret\\u0000"] },',
      '"e": { "command": "c", "env": { "A": "s3cret\\u0000", "B": "" } }',
    ),
    [
      ...['a', 'b', 'c'].map(
        (name, at) =>
          `line ${at + 2}, mcpServers.${name}.command: must be a command: not blank, and without a NUL character`,
      ),
      'line 5, mcpServers.d.args.1: must be without a NUL character',
      'line 6, mcpServers.e.env.A: must be without a NUL character',
    ],
  ],
  [
    'a variable that is not set, beside other faults',
    file('"a": { "url": "${NOWHERE}/mcp?${ALSO}",', '"headers": { "A": "${SEARCH_TOKEN}${NONE}" }, "x": 1 }'),
    [
      'line 2, mcpServers.a.url: ${NOWHERE} is not set in the environment of the server, and has no default',
      'line 2, mcpServers.a.url: ${ALSO} is not set in the environment of the server, and has no default',
      'line 3, mcpServers.a.headers.A: ${NONE} is not set in the environment of the server, and has no default',
      'line 3, mcpServers.a.x: is not a known field',
    ],
  ],
];

for (const [what, text, faults] of faulty) {
  test(`a file with ${what} is refused with the line and the reason, and shows no value`, () => {
    const parsed = parseManagedMcp(text, { ...env, BREAK: 's3cret\r\n' });
    expect(parsed).toEqual({ faults });
    expect(JSON.stringify(parsed)).not.toContain('s3cret');
  });
}

test('a byte order mark is no fault', () => {
  expect(parseManagedMcp('\ufeff{"mcpServers":{}}', {})).toEqual({ servers: {} });
});

test('without a folder or a file there are no servers', async () => {
  expect(await readManagedMcp({ orgDir: null, env })).toEqual({ servers: {} });
  expect(await readManagedMcp({ orgDir: temporaryFolder(), env })).toEqual({ servers: {} });
});

test('a fault names the file', async () => {
  const orgDir = temporaryFolder();
  const path = join(orgDir, 'managed-mcp.json');
  await writeFile(path, '{"mcpServers":\n[]}');
  expect(await readManagedMcp({ orgDir, env })).toEqual({ fault: `${path}: line 2, mcpServers: must be an object` });
  await rm(path);
  await mkdir(path);
  expect(await readManagedMcp({ orgDir, env })).toEqual({ fault: `${path} cannot be read (EISDIR)` });
});

test('an edit is seen, a file that broke leaves its last good servers, and one that was removed leaves none', async () => {
  const orgDir = temporaryFolder();
  const path = join(orgDir, 'managed-mcp.json');
  const read = makeServersReader({ orgDir, env });
  const servers = (command: string) => ({ a: { type: 'stdio', command } });

  expect(await read()).toEqual({ servers: {}, fault: null });
  await writeFile(path, JSON.stringify({ mcpServers: servers('one') }));
  expect(await read()).toEqual({ servers: servers('one'), fault: null });
  await writeFile(path, JSON.stringify({ mcpServers: servers('two') }));
  expect(await read()).toEqual({ servers: servers('two'), fault: null });
  await writeFile(path, '{');
  expect(await read()).toEqual({ servers: servers('two'), fault: expect.stringContaining('line 1') });
  await rm(path);
  expect(await read()).toEqual({ servers: {}, fault: null });
  await writeFile(path, '{');
  expect(await read()).toEqual({ servers: {}, fault: expect.stringContaining('line 1') });
});

function parse(mcpServers: object) {
  return parseManagedMcp(JSON.stringify({ mcpServers }), env);
}
