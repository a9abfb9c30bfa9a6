/** Text that can be kept as it is. */

/** Why the string cannot be kept as it is; null when it can. */
export function textFault(text: string): string | null {
  if (!text.isWellFormed()) return 'must be Unicode text, and has half of a surrogate pair in it';
  if (text.includes('\0')) return 'must not hold the character U+0000';
  return null;
}
