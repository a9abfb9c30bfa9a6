/**
 * Bundles the server into `dist/`, for production: `node dist/main.js`.
 *
 * `main.js` stays tiny and loads the rest through Node's compile cache, which it turns on first. The Agent SDK is not
 * bundled: it finds its program beside itself in node_modules.
 */

import { rm } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'external',
  sourcemap: 'linked',
  external: [
    '@anthropic-ai/claude-agent-sdk',
    '@copilotkit/aimock',
    'eventsource-parser',
    'pino',
    'pino-pretty',
    // Its build for Node is CommonJS, which a bundle of modules cannot hold.
    'yaml',
  ],
  logLevel: 'warning',
});
