// A home for one scenario: nothing that was stored by another one is in it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

const DESKTOP = resolve(import.meta.dirname, '../fixtures/desktop');

/** Calls `action` with the variables that lead to a new home and to the browser; then removes it. */
export async function withHome(action) {
  const home = await mkdtemp(join(tmpdir(), 'mcp-proxy-conformance-'));
  try {
    return await action({
      HOME: home,
      MCP_REMOTE_CONFIG_DIR: join(home, 'sign-ins'),
      BROWSER: join(DESKTOP, 'xdg-open'),
      PATH: `${DESKTOP}${delimiter}${process.env.PATH}`,
    });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
