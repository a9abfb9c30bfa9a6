/** Waiting for what gives no signal of its own, such as the state of another process. */

/** Each try looks at files or at /proc, from a third of a millisecond up: enough for the slowest start of a process. */
const maxTries = 20_000;

/** Resolves as soon as the condition holds; rejects with `what` when it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < maxTries; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`waited in vain until ${what}`);
}
