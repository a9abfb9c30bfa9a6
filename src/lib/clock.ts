/** The time, as a dependency, so that tests can set it. */

export type Clock = {
  /** UTC, ISO 8601. */
  now(): string;
};

export const systemClock: Clock = {
  now: () => new Date().toISOString(),
};
