/** What Node's errors say of themselves: their code, such as ENOENT, and their message. */

export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

/** ESTALE, which Node has no name for: a file server's word for a file or folder that is not there any more. */
const staleErrno = -116;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What was named is not there. */
export function isGone(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || (error instanceof Error && 'errno' in error && error.errno === staleErrno);
}

/** For `.catch`: what is not there reads as `value`; every other error goes on. */
export function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isGone(error)) return value;
    throw error;
  };
}
