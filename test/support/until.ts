/** Waiting for what gives no signal of its own, such as the state of another process. */

/** A look at all of /proc takes some 5 ms: enough for the slowest start of a process, and less than a test may take. */
const maxTries = 10_000;

/** Resolves as soon as the condition holds; rejects with `what` when it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < maxTries; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`waited in vain until ${what}`);
}
