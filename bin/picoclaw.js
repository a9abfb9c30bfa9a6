#!/usr/bin/env node
/*
 * What npm links as `picoclaw`. An older Node cannot read the program's modules and would tell of a syntax error: here it gets as
 * far as a sentence. So this file is not built, and its syntax is one that Node 12 reads.
 */

const needed = 24;
const found = process.versions.node;

if (Number(found.split('.')[0]) < needed) {
  process.stderr.write(
    'picoclaw: needs Node ' +
      needed +
      ' or newer; this is ' +
      found +
      ' (' +
      process.execPath +
      ').\n' +
      'Install a newer one (https://nodejs.org), or have npm bring one: npx -p node@' +
      needed +
      ' node ' +
      process.argv[1] +
      '\n',
  );
  process.exitCode = 1;
} else {
  import('../dist/main.js').catch((error) => {
    if (!/main\.js' imported from/.test(error.message)) throw error;
    process.stderr.write('picoclaw: this checkout is not built yet. Run first: npm ci && npm run build\n');
    process.exitCode = 1;
  });
}
