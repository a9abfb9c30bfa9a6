/**
 * What the file tools may not touch; pure. Absolute paths in gitignore's syntax; they hold in bypass mode too.
 *
 * - Another conversation's session, which lies in the same config directory. A session's own large tool results lie
 *   there as well, and the CLI tells the model to read them there, so its own folder stays open. A rule has no
 *   exceptions, hence one for each of the first eight places of the id: all folders that differ in that place.
 * - The settings, which can hold hooks: commands that would run in every later conversation.
 *
 * This keeps conversations apart that mean no harm. It does not hold back Bash, which reads what the process may read.
 */

export function makeDenyRules(input: { cwd: string; configDir: string; sessionId: string }): string[] {
  const { cwd, configDir, sessionId } = input;
  const sessions = [
    'projects/**/*.jsonl',
    ...othersThan(sessionId).map((folder) => `projects/*/${folder}/**`),
    // Of live processes, with the tokens by which they can be spoken to.
    'sessions/**',
  ];
  return [
    ...sessions.flatMap((path) => [`Read(/${configDir}/${path})`, `Edit(/${configDir}/${path})`]),
    ...['settings.json', 'settings.local.json'].map((name) => `Edit(/${cwd}/.claude/${name})`),
  ];
}

/** Patterns that match every UUID but this one (and its like in eight digits). The CLI knows sets, but not `[^…]`. */
function othersThan(sessionId: string): string[] {
  return [...sessionId.slice(0, 8)].map((digit, place) => {
    return `${sessionId.slice(0, place)}[${'0123456789abcdef'.replace(digit, '')}]*`;
  });
}
