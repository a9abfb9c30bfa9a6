import { expect, test } from 'vitest';
import { readCommandLine } from '../../src/cli/command-line.ts';

test.each([
  [[], 'serve'],
  [['serve'], 'serve'],
  [['demo'], 'demo'],
  [['doctor'], 'doctor'],
  [['mcp'], 'mcp'],
  [['--help'], 'help'],
  [['-h'], 'help'],
  [['doctor', '--help'], 'help'],
  [['--version'], 'version'],
  [['-V'], 'version'],
  [['--version', '-h'], 'help'],
])('%j is %s', (args, command) => {
  expect(readCommandLine(args)).toEqual({ command });
});

test.each([
  [['serv'], 'no command "serv"; there are: serve, demo, doctor, mcp'],
  [['toString'], 'no command "toString"; there are: serve, demo, doctor, mcp'],
  [[''], 'no command ""; there are: serve, demo, doctor, mcp'],
  [['help'], 'no command "help"; there are: serve, demo, doctor, mcp'],
  [['--port', '80'], 'no option "--port"; there are: --help, --version. Settings are environment variables'],
  [['serve', '-p80'], 'no option "-p80"; there are: --help, --version. Settings are environment variables'],
  [['-'], 'no option "-"; there are: --help, --version. Settings are environment variables'],
  [['serve', 'now'], 'serve takes no "now". Settings are environment variables'],
])('%j is refused: %s', (args, fault) => {
  expect(readCommandLine(args)).toEqual({ fault });
});
