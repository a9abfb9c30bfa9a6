/** What of a text can be kept: as it is, or its beginning. */

/** Of who speaks, and of a model. */
export const maxNameCharacters = 200;
/** Ids of other makes are taken too (PicoClaw 1.x let callers choose some), but not without end. */
export const maxIdCharacters = 500;

/** Why the string cannot be kept as it is; null when it can. */
export function textFault(text: string): string | null {
  if (!text.isWellFormed()) return 'must be Unicode text, and has half of a surrogate pair in it';
  if (text.includes('\0')) return 'must not hold the character U+0000';
  return null;
}

/** At most `maxCharacters` of the text (UTF-16 units). A surrogate pair at the cut is left out: half of one is not text. */
export function beginningOf(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  return text.slice(0, maxCharacters).replace(/[\ud800-\udbff]$/, '');
}
