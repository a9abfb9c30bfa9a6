/**
 * Keeps a claude process, and all that it starts, from looking into the server where there is no sandbox.
 *
 * A process in a Landlock domain may debug only what is in its domain. To the kernel that includes reading the environment and
 * the memory of another process, so none outside is readable any more: the server, its init, npm, a side-car of the same
 * user. No rights are needed, so it works in a container whose profile forbids a sandbox.
 *
 * The one access that the rule is about (moving and linking files across folders) is allowed everywhere: a domain needs a
 * rule. What else comes with it: no program gains rights by sudo or setuid, and nothing can be mounted. Needs Linux 5.19
 * with Landlock turned on and setpriv of util-linux 2.41 (Debian 13). Signals and the network are as before.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Options of setpriv, which go before its `--`. */
export const landlockOptions = ['--landlock-access', 'fs:refer', '--landlock-rule', 'path-beneath:refer:/'];

/** Starts one: no list of requirements tells whether this kernel, this container and this setpriv do it. */
export async function canUseLandlock(): Promise<boolean> {
  try {
    await promisify(execFile)('setpriv', [...landlockOptions, '--', 'true']);
    return true;
  } catch {
    return false;
  }
}
