/**
 * Bundles the server into `dist/` (or the folder that is given), for production: `node dist/main.js`.
 *
 * `main.js` stays tiny and loads the command, which loads what it needs before the server listens, and the rest after that. The
 * Agent SDK is not bundled: it finds its program beside itself in node_modules. All else is, and needs no package to be installed
 * (docs/adr/0030-the-npm-package.md). What each of the settings below is worth is in docs/adr/0025-cold-start.md.
 */

import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';

const outdir = process.argv[2] ?? 'dist';
await rm(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ['src/main.ts'],
  outdir,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // A third less to read. Names stay as they are, for stack traces.
  minifyWhitespace: true,
  lineLimit: 160,
  legalComments: 'external',
  sourcemap: 'linked',
  external: ['@anthropic-ai/claude-agent-sdk'],
  plugins: [builtinModules(), zodMini(), withoutLocales()],
  logLevel: 'warning',
  metafile: true,
});
await writeFile(join(outdir, 'licenses.txt'), await licensesOf(metafile));

/**
 * Of a module of its own that is imported, node reads each export, and with some it loads what nothing needs before the server
 * listens: `fetch`, HTTP/2 and TLS with those of `http`, Web Cryptography with those of `crypto`. An object that inherits from the
 * module has none of them read. And CommonJS is given what it requires; a bundle of modules has no `require`.
 */
function builtinModules(): Plugin {
  const inherited = new Set(['node:crypto', 'node:http']);
  return {
    name: 'builtin modules',
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /./ }, ({ path, kind }) => {
        if (!isBuiltin(path)) return null;
        if (kind === 'require-call') return { path, namespace: 'required', sideEffects: false };
        return inherited.has(path) ? { path, namespace: 'inherited', sideEffects: false } : null;
      });
      const get = (name: string) => `process.getBuiltinModule('${name}')`;
      onLoad({ filter: /./, namespace: 'required' }, ({ path }) => ({ contents: `module.exports = ${get(path)};` }));
      onLoad({ filter: /./, namespace: 'inherited' }, ({ path }) => ({
        contents: `module.exports = Object.create(${get(path)});`,
      }));
    },
  };
}

/**
 * Zod's core once more, for `zod/mini` alone, which needs a tenth of it. A file that it shared with the rest of Zod would be loaded
 * whole before the server listens.
 */
function zodMini(): Plugin {
  const namespace = 'zod/mini';
  return {
    name: namespace,
    setup: ({ onResolve, onLoad }) => {
      const entry = fileURLToPath(import.meta.resolve(namespace));
      onResolve({ filter: /^zod\/mini$/ }, () => ({ path: entry, namespace, sideEffects: false }));
      onResolve({ filter: /^\./, namespace }, ({ path, importer }) => ({
        path: join(dirname(importer), path),
        namespace,
        sideEffects: false,
      }));
      onLoad({ filter: /./, namespace }, async ({ path }) => ({ contents: await readFile(path, 'utf8') }));
    },
  };
}

/** Zod's messages in fifty languages, none of which is asked for. */
function withoutLocales(): Plugin {
  const namespace = 'no locales';
  return {
    name: namespace,
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /\/locales\/index\.js$/ }, ({ path }) => ({ path, namespace, sideEffects: false }));
      onLoad({ filter: /./, namespace }, () => ({ contents: 'export {};' }));
    },
  };
}

/** Of each package that is in the bundle: most licences want to be passed on with the code. */
async function licensesOf({ outputs }: Metafile): Promise<string> {
  const inputs = Object.values(outputs).flatMap((output) => Object.keys(output.inputs));
  const packages = inputs.flatMap(
    (input) => /^(?:[^:]+:)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? [],
  );
  const folders = new Set(packages.map((folder) => relative('.', folder)));
  return (await Promise.all([...folders].sort().map(licenseOf))).join('\n');
}

async function licenseOf(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const file = (await readdir(folder)).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8');
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
