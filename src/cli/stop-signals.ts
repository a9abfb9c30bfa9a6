/** What a signal that asks the server to end means, of which a person may send several. */

/** Ctrl-C under npm arrives twice, from the terminal and from npm: what comes this soon after the first is its echo. */
const echoMs = 500;

/** `sinceFirstMs`: null for the first signal. */
export function decideOnSignal(sinceFirstMs: number | null): 'stop' | 'ignore' | 'exit_at_once' {
  if (sinceFirstMs === null) return 'stop';
  return sinceFirstMs < echoMs ? 'ignore' : 'exit_at_once';
}
