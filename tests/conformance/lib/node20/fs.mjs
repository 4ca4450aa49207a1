// The conformance suite imports `globSync`, which Node has since version 22. Only the suite's
// tier-check command calls it, so a stand-in is enough to link the program on Node 20.
export * from 'node:fs';

export function globSync() {
  throw new Error('fs.globSync needs Node 22');
}
