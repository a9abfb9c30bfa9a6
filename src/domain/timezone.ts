/** Time zones of the IANA database. */

/** Longer than any name of one. */
export const maxTimezoneCharacters = 100;

/**
 * The zone in the database's spelling: programs that the agent runs look it up as a file, case and all. A newer name stays
 * what it is, though Intl may answer with the older one. Null for an offset, which Intl knows and they do not, and for what
 * is no zone.
 */
export function toTimezone(name: string): string | null {
  if (/^[+-]/.test(name)) return null;
  try {
    const known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
    return known.toLowerCase() === name.toLowerCase() ? known : name;
  } catch {
    return null;
  }
}

/**
 * As `toTimezone`, for a start: the first formatter of a process takes 7 % of one, this list a tenth of that. From the second on
 * the formatter is faster.
 */
export function findTimezone(name: string): string | null {
  // Intl lists what has a place; `UTC` is none.
  if (name === 'UTC' || Intl.supportedValuesOf('timeZone').includes(name)) return name;
  return toTimezone(name);
}
