// The npm packages are those of the conformance suite: one lock file for the repository.
import { createRequire } from 'node:module';

export const load = createRequire(new URL('../../conformance/package.json', import.meta.url));
