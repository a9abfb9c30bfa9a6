/**
 * A process with a secret in its environment, for tests of who else can read it.
 *
 * Arguments: `guarded` closes itself as the server does, `plain` does not; then the command line in front of whoever attacks.
 * It prints one JSON line when it is ready and one for each SIGUSR1, and answers each line on standard input with its exposures.
 */

import { createInterface } from 'node:readline';
import { findExposures, secretValues } from '../../src/cli/exposure.ts';
import { forbidCoreDumps, refuseDebugger } from '../../src/cli/own-process.ts';
import { takeEnvironment } from '../../src/lib/own-environment.ts';

const [mode, ...prefix] = process.argv.slice(2);
const say = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`);

let env = process.env;
let block: string | null = null;
if (mode === 'guarded') {
  ({ env, block } = takeEnvironment());
  refuseDebugger(() => say({ refused: true }));
  await forbidCoreDumps();
}
const secrets = secretValues(env);
say({ pid: process.pid, block, secrets: secrets.length });
for await (const _ of createInterface({ input: process.stdin }))
  say({ exposures: await findExposures({ secrets, sandboxed: false, prefix }) });
